"""What a training step tells besides its metrics, on every backend."""

import keras
import numpy as np
import pytest

from keras_transformer import losses, models


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_tokens_and_gradients_are_counted(run_eagerly):
    rng = np.random.default_rng(0)
    ids, labels = rng.integers(4, 13, (2, 6, 5)).astype("int32")
    labels[:, 3:] = 0
    model = models.CausalLM(
        13, num_layers=1, hidden_dim=6, num_heads=2, intermediate_dim=7, dropout=0.0, attention_dropout=0.0
    )
    loss = losses.SmoothedCrossEntropy()
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=run_eagerly, jit_compile=False)
    model.build()
    before = [variable.numpy() for variable in model.trainable_variables]
    model.fit(
        {"target_ids": ids},
        labels,
        batch_size=6,
        epochs=1,
        verbose=0,
        validation_data=({"target_ids": ids}, labels),
    )
    after = [variable.numpy() for variable in model.trainable_variables]
    norm = np.sqrt(sum(np.square(b - a).sum() for a, b in zip(after, before, strict=True))) / 0.1
    statistics = model.step_statistics
    assert float(statistics.weight.result()) == 18
    assert float(statistics.gradient_norm.result()) == pytest.approx(norm, rel=1e-4)
    assert "weight" not in model.history.history and "gradient_norm" not in model.history.history
    statistics.reset()
    model.fit({"target_ids": ids}, labels, batch_size=3, epochs=2, verbose=0)
    assert float(statistics.weight.result()) == 36
