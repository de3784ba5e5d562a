"""Third stage: the compiled model, new or from where a training was interrupted."""

import keras

from keras_transformer.callbacks import restore
from training import compiling, initial
from training.stages.data import Data
from training.stages.settle import Start


def make(start: Start, data: Data) -> tuple[keras.Model, int]:
    """The model, and the number of epochs that it has behind it."""
    with start.strategy.scope():
        model, epoch = restore(start.checkpoints) or (new(data), 0)
    print(f"{data.task.summary()}; {model.count_params():,} parameters")
    if start.unfinished:
        compiling.lengthen(model.optimizer, data.total_steps)
        print(f"going on after {epoch} of {start.config.fit.epochs} epochs")
    return model, epoch


def new(data: Data) -> keras.Model:
    """The compiled model before its first step."""
    task, settled = data.task, data.settled
    model = task.make_model(task.sizes)
    if task.config.initial.run is not None:
        initial.take_weights(model, task)
    model.freeze(task.config.fit.freeze)
    compiling.compile_model(model, task, data.total_steps, settled.jit_compile, settled.num_micro_batches)
    return model
