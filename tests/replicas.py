"""A training step on one and on two virtual devices: python -m tests.replicas WAY ...

Virtual devices must be made before TensorFlow starts: a process of its own.
"""

import contextlib
import json
import sys
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from keras_transformer import losses, metrics, models
from keras_transformer.models.trainer import TokenMeanTrainer

VOCABULARY, ROWS, LENGTH = 19, 8, 6
LEARNING_RATE = 0.5


def make_batch():
    """Rows with very different numbers of real tokens, among them two with none."""
    generator = np.random.default_rng(0)
    source, target, labels = generator.integers(4, VOCABULARY, (3, ROWS, LENGTH)).astype("int32")
    for row, length in enumerate([1, 6, 2, 6, 5, 3, 0, 0]):
        target[row, max(1, length) :] = 0
        labels[row, length:] = 0
    return {"source_ids": source, "target_ids": target}, labels


def make_model(clip=0.1, **options):
    """A tiny compiled model, always the same; a gradient clip that bites."""
    keras.utils.set_random_seed(0)
    model = models.Transformer(
        VOCABULARY, VOCABULARY, num_layers=1, hidden_dim=8, num_heads=2, intermediate_dim=11, dropout=0.0
    )
    model.build()
    model.compile(
        optimizer=keras.optimizers.SGD(LEARNING_RATE, global_clipnorm=clip),
        loss=losses.SmoothedCrossEntropy(0.1),
        metrics=[metrics.Perplexity()],
        **{"jit_compile": False, **options},
    )
    return model


def train(strategy=None, **options):
    """What some steps and an evaluation give."""
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = make_model(**options)
    batches = tf.data.Dataset.from_tensor_slices(make_batch()).batch(ROWS).repeat(2)
    history = model.fit(batches, epochs=2, verbose=0, shuffle=False).history
    evaluation = model.evaluate(batches, verbose=0, return_dict=True)
    return {
        "loss": history["loss"],
        "evaluation": evaluation["loss"],
        "gradient_norm": float(model.step_statistics.gradient_norm.result()),
        "weight": float(model.step_statistics.weight.result()),
        "weights": np.concatenate([weight.ravel() for weight in model.get_weights()]).tolist(),
        "metrics": sorted(history),
    }


def train_by_keras_alone(strategy):
    """The same with the steps that Keras has."""
    with (
        mock.patch.object(TokenMeanTrainer, "train_step", keras.Model.train_step),
        mock.patch.object(TokenMeanTrainer, "test_step", keras.Model.test_step),
    ):
        return train(strategy)


def train_by_r_drop(strategy=None):
    """With a divergence that is not zero, though nothing is dropped: it looks at the first reading alone."""

    def divergence(first, second):
        return keras.ops.mean(keras.ops.square(first), axis=-1)

    with mock.patch.object(losses, "symmetric_divergence", divergence):
        return train(strategy, r_drop=3.0)


WAYS = {
    "one device": lambda _: train(),
    "two devices": train,
    "two devices, two micro-batches": lambda strategy: train(strategy, num_micro_batches=2),
    "one device, R-Drop": lambda _: train_by_r_drop(),
    "two devices, R-Drop": train_by_r_drop,
    "two devices, Keras alone": train_by_keras_alone,
}


def main(ways):
    """Prints the results as JSON, by the way they were made: of `WAYS`."""
    (device,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    print(json.dumps({way: WAYS[way](strategy) for way in ways}))


if __name__ == "__main__":
    main(sys.argv[1:])
