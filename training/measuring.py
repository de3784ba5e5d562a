"""Measures of runs that are no translators: what the model's own metrics say, and what its task adds."""

from dataclasses import replace
from pathlib import Path

from command_line import quiet
from training import run_folder


def measure(run, split, data_dir=None, search=None, checkpoint=None):
    """Measures a run on a split of its data.

    Args:
        run: a run folder.
        split: "train", "validation" or "test".
        data_dir: folder with the data; the one that was trained on if None.
        search: `SearchOptions` of a captioner.
        checkpoint: best, last or a file in the run's checkpoints/; model.keras if None.

    Returns:
        List of `quality.Measured`.

    Raises:
        ValueError: the run, the data or an option cannot be used.
    """
    config = run_folder.load_config(run)
    if data_dir is not None:
        config = replace(config, data=replace(config.data, data_dir=data_dir))
    decodes = hasattr(config.data, "max_length")
    if not decodes and str(search) != str(type(search)()):
        raise ValueError(
            f"Options of a search are for what decodes. Received: a {config.model.kind}, {search}."
        )
    with quiet.start_up():
        from keras_transformer.checkpoints import checkpoint_path
        from keras_transformer.model_files import load_model
        from training import tasks
    task = tasks.make(config)
    task.load()
    task.load_tokenizers(Path(run))
    task.load_split(split)
    if not task.has(split):
        raise ValueError(f"The run's data must have a {split} split. Received: none was configured.")
    model = load_model(checkpoint_path(run, checkpoint), compile=True)
    found = search.search(config.data.max_length) if decodes else None
    return task.measure(model, split, found)
