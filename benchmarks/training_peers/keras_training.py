"""A compiled Keras model, trained through `fit` or by its bare training step."""

import time

import keras
import numpy as np
import tensorflow as tf

from benchmarks.training_peers import child


def limit_threads(threads):
    """For both of TensorFlow's pools; before anything is computed."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


class KerasTraining:
    """See `child.serve`.

    Args:
        model: built, with the inputs "source_ids" and "target_ids", (B, T).
        loss: of labels (B, T) and logits (B, T, V).
        batches: see `child.serve`.
        jit_compile: whether XLA compiles the step.
        bare: whether the training step is called without `fit` around it.
    """

    def __init__(self, model, loss, batches, jit_compile=False, bare=False):
        self.model = model
        model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=loss, jit_compile=jit_compile)
        model.optimizer.build(model.trainable_variables)
        inputs = {name: batches[name] for name in ("source_ids", "target_ids")}
        self.dataset = tf.data.Dataset.from_tensor_slices((inputs, batches["labels"])).repeat()
        self.bare_step = (
            tf.function(model.train_step, autograph=False, jit_compile=jit_compile) if bare else None
        )
        self.batches = iter(self.dataset)

    def weights(self):
        return [np.array(variable) for variable in self.model.trainable_variables]

    def run(self, steps):
        if self.bare_step is not None:
            return child.timed(lambda: self.bare_step(next(self.batches))["loss"], steps)
        clock = Clock()
        self.model.fit(self.dataset, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[clock])
        return clock.seconds, clock.losses


class Clock(keras.callbacks.Callback):
    """Time from the epoch's beginning to its last step: what surrounds it comes once, however long it is."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start, self.losses = time.perf_counter(), []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])  # the mean since the epoch's beginning
        self.seconds = time.perf_counter() - self.start
