"""Pictures that commands write: refused before work is done, and written whole or not at all."""

from pathlib import Path

from keras_transformer_programs import installation

SUFFIXES = (".png", ".svg", ".pdf")


def check(path: Path, option: str = "picture") -> None:
    """Raises unless a picture can be written there.

    Args:
        path: the file.
        option: its name, for the message.

    Raises:
        ModuleNotFoundError: what draws is not installed.
        ValueError: it has another suffix than those of `SUFFIXES`, is a folder, or in none.
    """
    installation.check("matplotlib")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"`{option}` must be a file *{', *'.join(SUFFIXES)}. Received: {path}.")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(f"`{option}` must be a file in a folder that exists. Received: {path}.")


def write(figure, path: Path) -> None:
    """Writes a matplotlib figure beside and renames it into place."""
    beside = path.with_name(f".incomplete-{path.name}")
    try:
        figure.savefig(beside, format=path.suffix[1:].lower())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
