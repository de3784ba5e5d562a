"""The versions of a served model: folders whose names TF Serving reads as numbers."""

import re
from pathlib import Path

# TF Serving's numbers are int64.
MAX_VERSION = 2**63 - 1


def number_of(name: str) -> int | None:
    """The number that a folder's name or a part of a path stands for; None if that is no version.

    "0001" is version 1, as in TF Serving. What is no int64 is none.
    """
    digits = name.lstrip("0") or name[:1]
    # Nineteen digits first: of thousands Python makes no number.
    if not re.fullmatch("[0-9]{1,19}", digits) or int(digits) > MAX_VERSION:
        return None
    return int(digits)


def given(text: str | None) -> int | None:
    """A number as the option of a command; None stays None.

    Raises:
        ValueError: it is none, or written otherwise than a version's folder is called.
    """
    if text is None:
        return None
    number = number_of(text)
    if number is None or text != str(number):
        raise ValueError(
            f"A version is a number from 0 to {MAX_VERSION}, its digits alone. Received: {text!r:.80}."
        )
    return number


def found(base) -> list[tuple[int, Path]]:
    """(number, path) of all that is called like a version in a folder, which may be absent; by name."""
    base = Path(base)
    paths = sorted(base.iterdir()) if base.is_dir() else ()
    numbers = ((number_of(path.name), path) for path in paths)
    return [(number, path) for number, path in numbers if number is not None]
