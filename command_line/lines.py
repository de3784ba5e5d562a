"""Lines in and out of the commands: a chunk at a time, whole lines, and a progress bar for who waits."""

import codecs
import contextlib
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# Lines that are worked on together: enough to sort by length, few enough to hold in memory.
CHUNK = 4096

# How files begin that hold something else than UTF-8.
NO_TEXT = {b"\x1f\x8b": "gzip", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}

# What some program or other takes for the end of a line or of a column.
BREAKS = str.maketrans(dict.fromkeys("\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029", " "))


def one_line(text: str) -> str:
    """The text with a space for each tab and each line end, so that it fits into a column of a line."""
    return text.translate(BREAKS)


def valid(text: str) -> str:
    """A text of the command line with a sign in the place of each byte that is no UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def joined_pieces(pieces: Iterable[str]) -> str:
    """Pieces of a text as one column, separated by spaces."""
    # A space is a piece of some tokenizers; others write it like this already.
    return " ".join(one_line(piece).replace(" ", "\u2581") for piece in pieces)


def chunks(items: Iterable, size: int = CHUNK) -> Iterator[list]:
    """Lists of `size` items, in order; the last may be shorter."""
    items = iter(items)
    while chunk := list(itertools.islice(items, size)):
        yield chunk


@contextlib.contextmanager
def reader(texts: Iterable[str] = (), path: str | None = None) -> Iterator[Iterable[bytes]]:
    """Gives what is worked on as bytes, without line ends: texts that were given, else lines.

    Bytes: invalid UTF-8 is the tokenizer's to replace, and no reason to stop in the middle.

    Args:
        texts: of the command line.
        path: file with a text a line; None for standard input.

    Raises:
        ValueError: texts and a file are given, or nothing is and standard input is closed; or the file is
            gzip or UTF-16.
        OSError: the file cannot be read.
    """
    if texts and path:
        raise ValueError(f"Give texts or --input. Received both: {' '.join(map(repr, texts))}, {path}.")
    if texts:
        yield [text.encode("utf-8", "surrogateescape") for text in texts]
    elif path:
        with open(path, "rb") as file:
            if kind := NO_TEXT.get(file.peek(2)[:2]):
                raise ValueError(f"`input` must be UTF-8, and not compressed. Received: {path}, {kind}.")
            yield _without_ends(file)
    elif sys.stdin is None:
        raise ValueError("Give a text, or lines on standard input. Received: none, and it is closed.")
    else:
        yield _without_ends(sys.stdin.buffer)


def _without_ends(lines):
    for number, line in enumerate(lines):
        line = line.rstrip(b"\r\n")
        yield line.removeprefix(codecs.BOM_UTF8) if number == 0 else line


@contextlib.contextmanager
def writer(path: str | None, inputs: Iterable[str | None] = ()) -> Iterator[Callable[[list[str]], None]]:
    """Gives a function that writes a list of lines at once.

    The file is opened here, so that a path that cannot be written is told before a model is loaded; what it
    held is dropped with the first lines. Who looks into the file, or stops the command, finds whole lines.

    Args:
        path: file to write; None for standard output.
        inputs: files that are read meanwhile, or None.

    Raises:
        ValueError: `path` is one of `inputs`.
        OSError: `path` cannot be written, or standard output is closed; from the function: the disk is full,
            and the file ends with the lines before.
    """
    if path is None:
        if sys.stdout is None:
            raise OSError("Lines need a standard output, or --output. Received: a closed standard output.")
        yield _print
        return
    is_file = Path(path).is_file()
    for other in inputs:
        if is_file and other and Path(other).is_file() and Path(other).samefile(path):
            raise ValueError(f"`output` must be another file than the input. Received: {path}.")
    with open(path, "ab", buffering=0) as file:
        is_file = Path(path).is_file()  # and no pipe or device, which have no size
        size = None

        def write(lines):
            nonlocal size
            if size is None:
                size = 0
                if is_file:
                    file.truncate(0)
            data = memoryview(_joined(lines).encode("utf-8"))
            end = size + len(data)
            try:
                while data:
                    data = data[file.write(data) :]
            except OSError:
                if is_file:
                    file.truncate(size)
                raise
            size = end

        yield write
        if size is None:
            write([])


def _print(lines):
    sys.stdout.write(_joined(lines))
    sys.stdout.flush()  # who waits at a pipe or a screen sees each chunk


def _joined(lines):
    return "".join(f"{line}\n" for line in lines)


@contextlib.contextmanager
def progress_bar(total: int | None, output: str | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, if that is a terminal and no lines are printed to the same screen.

    Args:
        total: number of texts; None if it is not known, and then there is no bar.
        output: file that is written, or None for standard output.

    Yields:
        The function to call with the number of texts that have just been done; None if there is no bar.
    """
    is_free = output is not None or not sys.stdout.isatty()
    if not total or not sys.stderr.isatty() or not is_free:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Rich would send standard output to its own console, which is standard error here.
    plain = {"redirect_stdout": False, "redirect_stderr": False}
    with Progress(*columns, console=Console(stderr=True), transient=True, **plain) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)
