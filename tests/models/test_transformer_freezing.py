"""Layers that do not train: chosen by name, remembered by a saved model."""

import keras
import numpy as np
import pytest

from keras_transformer import losses, models

SIZES = dict(num_layers=2, hidden_dim=6, num_heads=2, intermediate_dim=7, dropout=0.0)
IDS = np.random.default_rng(0).integers(4, 11, (4, 5))
INPUTS = {"source_ids": IDS, "target_ids": IDS}


def make(**options):
    model = models.Transformer(11, 11, **SIZES, **options)
    model.build()
    return model


def frozen_weights(model):
    return [weight for weight in model.weights if not weight.trainable]


def compiled(model):
    model.compile(keras.optimizers.Adam(0.01), losses.SmoothedCrossEntropy(), run_eagerly=True)
    return model


@pytest.mark.parametrize(
    ("patterns", "frozen"),
    [
        (["encoder"], lambda model: model.encoder.weights),
        (["source_embedding"], lambda model: model.source_embedding.weights),
        (["decoder/layer_0"], lambda model: model.decoder.layers[0].weights),
        (["decoder/layer_?"], lambda model: model.decoder.weights),
        (["*/feed_forward", "encoder"], None),
    ],
)
def test_a_pattern_freezes_the_layers_it_fits_and_what_is_inside(patterns, frozen):
    model = make()
    model.freeze(patterns)
    if frozen is not None:
        assert {id(weight) for weight in frozen_weights(model)} == {id(weight) for weight in frozen(model)}
    else:
        expected = [*model.encoder.weights]
        for layer in model.decoder.layers:
            expected += layer.feed_forward.weights
        assert {id(weight) for weight in frozen_weights(model)} == {id(weight) for weight in expected}


def test_frozen_weights_do_not_change_and_have_no_place_in_the_optimizer():
    model = make()
    model.freeze(["encoder", "target_embedding"])
    compiled(model)
    before = model.get_weights()
    model.fit(INPUTS, IDS, epochs=2, verbose=0)
    for weight, value, was in zip(model.weights, model.get_weights(), before, strict=True):
        if not weight.trainable or "kernel" in weight.path:
            assert np.array_equal(value, was) != weight.trainable, weight.path
    moments = [variable for variable in model.optimizer.variables if len(variable.shape)]
    assert len(moments) == 2 * len(model.trainable_weights)


def test_a_saved_model_remembers_what_is_frozen_and_loads_with_its_optimizer(tmp_path):
    model = make()
    model.freeze(["encoder", "decoder/layer_0/cross_attention"])
    compiled(model).fit(INPUTS, IDS, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [weight.trainable for weight in loaded.weights] == [weight.trainable for weight in model.weights]
    assert not loaded.encoder.trainable and loaded.decoder.trainable
    for saved, restored in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(saved.numpy(), restored.numpy(), err_msg=saved.path)
    loaded.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    assert [weight.trainable for weight in again.weights] == [weight.trainable for weight in model.weights]


def test_a_layer_inside_a_frozen_one_may_train(tmp_path):
    model = make()
    model.freeze(["encoder"])
    model.encoder.layers[1].trainable = True
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [weight.trainable for weight in loaded.weights] == [weight.trainable for weight in model.weights]


def test_a_model_frozen_as_a_whole_can_be_loaded(tmp_path):
    model = make()
    model.trainable = False
    model.save(tmp_path / "model.keras")
    assert not keras.models.load_model(tmp_path / "model.keras").trainable_weights


def test_a_name_that_is_not_there_is_refused_with_those_that_are():
    model = make(share_embeddings=True)
    with pytest.raises(ValueError, match="decoder, decoder/layer_0, .*target_embedding. Received: 'source_e"):
        model.freeze(["source_embedding"])
    assert not frozen_weights(model)


def test_something_is_left_to_train():
    with pytest.raises(ValueError, match=r"left to train. Received: \['\*'\]"):
        make().freeze(["*"])
