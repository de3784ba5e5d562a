"""Keeps TensorFlow's start-up lines off the screen of a command.

TensorFlow writes lines about CPU features, plug-ins and absent GPUs to file descriptor 2 while it is
imported, from C++, before any log level can be set; only the descriptor itself can be turned away. Nothing
here imports Keras or TensorFlow, so that a command can import this module first.
"""

import contextlib
import faulthandler
import logging
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def start_up() -> Iterator[None]:
    """Hides what is written to file descriptor 2 inside the block; shows it again if the block fails.

        with quiet.start_up():
            import tensorflow as tf

    An exception brings the hidden text back before it goes on. A crash of the interpreter (a CPU without the
    instructions that TensorFlow was compiled for) still prints its Python stack. After the block,
    TensorFlow's own log level stays at "fatal only" unless the environment variable TF_CPP_MIN_LOG_LEVEL
    says otherwise, and its Python loggers at "error".
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)

    try:
        screen = os.dup(2)
    except OSError:  # Standard error is closed: nothing to hide.
        yield
        return

    watches_crashes = not faulthandler.is_enabled()
    with tempfile.TemporaryFile() as hidden:
        _flush()
        os.dup2(hidden.fileno(), 2)
        if watches_crashes:
            faulthandler.enable(file=screen)
        try:
            yield
        except BaseException:
            _flush()
            hidden.seek(0)
            os.write(screen, hidden.read())
            raise
        finally:
            _flush()
            if watches_crashes:
                faulthandler.disable()
            os.dup2(screen, 2)
            os.close(screen)


def _flush():
    # `python -m` under a service manager may have no standard error at all.
    if sys.stderr is not None:
        sys.stderr.flush()
