"""Evaluation data of a run: a split of its own data, the same data elsewhere, or other files."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from training import tasks
from training.run_config import RunConfig

SPLITS = ("train", "validation", "test")


def add_data(parser, default: str) -> None:
    """Adds the split of the run's data, where the data lies, and files in its place; see `read`.

    Args:
        parser: the command's.
        default: what is measured without any of these options, in words.
    """
    parser.add_argument(
        "--data", type=str, help=f"split of the run's data: train, validation or test; {default} if absent"
    )
    parser.add_argument("--data_dir", type=str, help="folder with the data; as in training if absent")
    parser.add_argument(
        "--files",
        type=str,
        nargs="+",
        metavar="FILE",
        help="examples in place of the run's data, as data.test of a configuration: a TSV file of pairs, or "
        "a file of sources and one of targets; texts of a language model; TSV files of images or of "
        "labelled texts; CoNLL files",
    )
    parser.add_argument("--source", type=str, help="file with one text a line, UTF-8, plain or gzip")
    parser.add_argument("--target", type=str, help="file with the translations, line by line")


def read(options) -> tuple[str | None, str | None, list[str]]:
    """The split, the folder and the files that the options of `add_data` ask for; None and empty if absent.

    Raises:
        ValueError: options exclude each other.
    """
    if bool(options.source) != bool(options.target):
        raise ValueError(f"Give --source and --target. Received: {options.source}, {options.target}.")
    given = {
        "--data": options.data,
        "--files": options.files,
        "--source and --target": options.source,
    }
    given = [name for name, value in given.items() if value]
    if len(given) > 1:
        raise ValueError(f"Give one of --data, --files, --source and --target. Received: {', '.join(given)}.")
    files = options.files or ([options.source, options.target] if options.source else [])
    if options.data_dir and files:
        raise ValueError(f"`data_dir` is of the run's data. Received: {options.data_dir}, and files.")
    return options.data, options.data_dir, files


def choose(config: RunConfig, data_dir=None, files=(), facts=None) -> RunConfig:
    """A run's configuration with the data that it is measured on.

    Args:
        config: the run's.
        data_dir: folder with the data; the one that was trained on if None.
        files: the examples of the split "test" in place of the run's own; none for its own.
        facts: the run's `facts`.

    Raises:
        ValueError: the run's data is files, and in no folder.
    """
    if data_dir is not None and not hasattr(config.data, "data_dir"):
        raise ValueError(
            f"`data_dir` is for data that comes as a folder. Received: {data_dir}, for {config.data.name}."
        )
    if data_dir is not None:
        return replace(config, data=replace(config.data, data_dir=data_dir))
    return tasks.of(config.model.kind).other_files(config, files, facts) if files else config


@contextlib.contextmanager
def explain_missing(config: RunConfig, split: str, is_own: bool) -> Iterator[None]:
    """Tells which options help if the examples that are read inside are not where the training found them.

    Args:
        config: the run's.
        split: "train", "validation" or "test".
        is_own: whether it is the run's own data, and no files that were named.

    Yields:
        A function that raises ValueError because the split was never configured.
    """
    files = tasks.of(config.model.kind).files_option

    def is_missing():
        raise ValueError(
            f"The run's data must have a {split} split. Received: none was configured. Give {files}."
        )

    try:
        yield is_missing
    except FileNotFoundError as error:
        if not is_own:
            raise
        option = files if getattr(config.data, split, ()) else "--data_dir FOLDER"
        raise FileNotFoundError(f"{error} If it lies elsewhere, give {option}.") from error
