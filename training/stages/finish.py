"""Last stage: the run folder, from the first step on; what becomes of it when a training ends well or not."""

import contextlib
import shutil
from collections.abc import Iterator

import keras

from keras_transformer.callbacks import NotFinite, num_epochs
from keras_transformer.callbacks import finish as finish_checkpoints
from training import checkpointing, run_folder
from training.stages.data import Data
from training.stages.settle import Start


@contextlib.contextmanager
def opened(start: Start, data: Data) -> Iterator[None]:
    """Makes the run folder, or opens it again; removes it if nothing was learnt inside the block.

    Raises:
        ValueError: the loss is not finite; says what can be done.
    """
    if not start.is_chief:
        yield
        return
    if not start.unfinished:
        run_folder.make(start.output, start.config, data.task, data.settled)
    elif start.continues:
        run_folder.reopen(start.output, start.config)
    try:
        yield
    except BaseException as error:
        kept = any((start.output / "checkpoints").glob("*.keras"))
        kept = kept or num_epochs(start.checkpoints) is not None or start.unfinished is not None
        if not kept:
            shutil.rmtree(start.output)  # nothing was learnt that would be lost
        if isinstance(error, NotFinite):
            raise ValueError(_not_finite(error, start.output, kept)) from error
        raise


def finish(start: Start, model: keras.Model) -> keras.Model:
    """Writes model.keras, and returns the model that it holds."""
    if start.is_chief:
        model = checkpointing.final_model(model, start.config.checkpoints, start.output)
        run_folder.save_model(model, start.output)
        finish_checkpoints(start.checkpoints, start.config.fit.epochs)
        print(f"run folder: {start.output}")
    return model


def _not_finite(error, output, is_kept) -> str:
    """What can be done about a loss that is not finite, in the configuration's words."""
    fields = "optimizer.peak, optimizer.scale, optimizer.warmup_steps, optimizer.clip_norm"
    again = f" --initial.run {output} --initial.checkpoint last begins another run with what was good."
    return f"{error} See {fields}.{again if is_kept else ''}"
