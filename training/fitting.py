"""A training, from its configuration to its run folder, as a line of stages."""

from pathlib import Path

import keras

from keras_transformer.saving.model_files import load_model
from training import plan, run_folder
from training.run_config import RunConfig
from training.stages import data as data_stage
from training.stages import finish, fit, settle
from training.stages import model as model_stage


def train(
    config: RunConfig, output: Path, continues: bool = False, accept_changed_data: bool = False
) -> keras.Model:
    """Trains by a configuration, or goes on with a training that was interrupted.

    Args:
        config: see `training.config`.
        output: the run folder. It must not exist, or hold an unfinished run of the same configuration,
            which then goes on from its last checkpoint as if nothing had happened.
        continues: whether it may also hold a run, finished or not, of fewer epochs, which goes on for more.
        accept_changed_data: whether a run goes on with other data than it began with.

    Returns:
        The trained model.

    Raises:
        ValueError: the configuration or the data cannot be used, `output` holds something else or is
            another process's, or the loss is no number any more. A folder that was made here is removed again
            if nothing has been learnt. Among several workers a finished run of the same configuration is no
            error, but returned as it is.
    """
    with settle.settle(config, Path(output), continues, accept_changed_data) as start:
        if start.is_finished:
            print(f"run folder: {start.output}, finished before")
            return load_model(start.output / run_folder.MODEL_FILE)
        data = data_stage.read(start)
        model, epoch = model_stage.make(start, data)
        with finish.opened(start, data):
            fit.fit(start, data, model, epoch)
            return finish.finish(start, model)


def dry_run(config: RunConfig) -> str:
    """What a training would do and cost, as a page of text; see `plan.describe`. Trains nothing."""
    data = data_stage.prepare(config)
    return plan.describe(data.task, data.batches["train"], data.settled)
