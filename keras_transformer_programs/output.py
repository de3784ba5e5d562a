"""Standard output, which nobody may be reading any more."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def ends_quietly() -> Iterator[None]:
    """Ends the process without a word if whoever read standard output is gone (`| head -1`).

    The status is that of a program which SIGPIPE ended. All that was printed inside is written at the end.

    Raises:
        OSError: it cannot be written for another reason.
    """
    try:
        try:
            yield
        except SystemExit as end:
            if not end.code:  # --help
                _write_out()
            raise
        _write_out()
    except BrokenPipeError:
        give_up()
        sys.exit(128 + signal.SIGPIPE)


def give_up() -> None:
    """What still cannot be written is dropped: Python would try once more at its end, and complain."""
    try:
        _write_out()
    except OSError:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())


def _write_out():
    # `python -m` under a service manager may have no standard output at all.
    if sys.stdout is not None:
        sys.stdout.flush()
