"""Measures of runs that are no translators: what the model's own metrics say, and what its task adds."""

from pathlib import Path

from command_line import quiet
from command_line.search_options import ABOUT_A_SOURCE
from training import measured_data, run_folder, tasks


def measure(run, split, data_dir=None, search=None, checkpoint=None, files=()) -> list:
    """Measures a run on a split of its data.

    Args:
        run: a run folder.
        split: "train", "validation" or "test".
        data_dir: folder with the data; the one that was trained on if None.
        search: `SearchOptions` of a captioner.
        checkpoint: best, last or a file in the run's checkpoints/; model.keras if None.
        files: what is measured in place of the split.

    Returns:
        List of `quality.Measured`.

    Raises:
        ValueError: the run, the data or an option cannot be used.
    """
    config = run_folder.load_config(run)
    decodes = tasks.of(config.model.kind).decodes
    if not decodes and str(search) != str(type(search)()):
        raise ValueError(
            f"Options of a search are for what decodes. Received: the kind {config.model.kind}, {search}."
        )
    for name in sorted(ABOUT_A_SOURCE) if search is not None else ():
        value = getattr(search, name)
        if value != getattr(type(search)(), name):
            raise ValueError(f"`{name}` is for translators. Received: {name}={value}, for {run}.")
    with quiet.start_up():
        from keras_transformer.saving.checkpoints import checkpoint_path
        from keras_transformer.saving.model_files import load_model
    facts = tasks.make(config).load_facts(Path(run))
    config = measured_data.choose(config, data_dir, files, facts)
    split = "test" if files else split
    task = tasks.make(config)
    task.load_tokenizers(Path(run))
    task.load_facts(Path(run))
    with measured_data.explain_missing(config, split, is_own=not files) as is_missing:
        task.load_split(split)
        if not task.has(split):
            is_missing()
    model = load_model(checkpoint_path(run, checkpoint))
    # A mean of checkpoints was saved without loss and metrics.
    model.compile(loss=task.loss(), metrics=task.metrics(), jit_compile=False)
    found = search.search(config.data.max_length) if decodes else None
    return task.measure(model, split, found)
