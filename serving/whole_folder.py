"""Writes a folder whole or not at all: beside its place, and renamed into it when it is complete.

A server looks for new folders all the time, a disk may be full, a command may be killed. Whatever happens,
there is the whole folder or none. What a killed command leaves beside it is removed by the next one: it holds
no lock any more.
"""

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

try:
    import fcntl
except ImportError:  # on Windows, where nothing is removed
    fcntl = None

PREFIX = ".incomplete-export-"
# Seconds. What is younger may have no lock yet, or one that only another machine sees.
MIN_AGE = 3600.0


def check_writable(folder) -> None:
    """Raises unless a folder can be written, or made: before the work that fills it.

    Raises:
        ValueError: a file stands in its place, or in that of a folder above.
        OSError: its name is too long, or it may not be written.
    """
    there = Path(folder).absolute()
    while not os.path.lexists(there) and not there.exists():
        there = there.parent
    if not there.is_dir():
        raise ValueError(f"The output must be a folder. Received: {folder}, and {there} is none.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OSError(f"{folder} cannot be written: no permission for {there}.")


def check_absent(folder) -> None:
    """Raises ValueError if a folder exists already, and otherwise as `check_writable`."""
    if os.path.lexists(folder):
        raise ValueError(f"The folder of a model is never overwritten. Received: {folder}, which exists.")
    check_writable(folder)


@contextlib.contextmanager
def beside(parent) -> Iterator[Path]:
    """A new folder in `parent`, hence on the same disk; it is gone afterwards unless `into_place` moved it.

    Args:
        parent: a folder; made if absent, and removed again if nothing comes to stand in it.

    Raises:
        OSError: something cannot be written; all that is not a file's error passes as it is.
    """
    parent = Path(parent)
    made = [path for path in (parent, *parent.parents) if not path.exists()]
    folder = lock = None
    try:
        folder = _make(parent)
        lock = _lock(folder)
        _remove_abandoned(parent)
        yield folder
    except (OSError, tf.errors.OpError) as error:
        # TensorFlow's messages name its operations before and after what is wrong.
        message = re.sub(r"\{\{.*?\}\} | \[Op:\w+\].*", "", getattr(error, "message", str(error)))
        raise OSError(f"{parent} cannot be written: {message}") from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        for path in made:
            with contextlib.suppress(OSError):  # Something stands in it.
                path.rmdir()
        if lock is not None:
            os.close(lock)


def into_place(folder, target) -> Path:
    """Renames a complete folder.

    Raises:
        FileExistsError: there is a `target`.
    """
    # After a power cut a renamed folder must not hold empty files.
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    # mkdtemp makes folders that only their owner can read; the server is somebody else.
    folder.chmod(0o755)
    try:
        return folder.rename(target)
    except OSError as error:
        if os.path.lexists(target):
            raise FileExistsError(f"{target} exists.") from error
        raise


def _make(parent):
    for _ in range(3):
        parent.mkdir(parents=True, exist_ok=True)
        # Another export that failed may have removed the parent, which was its own.
        with contextlib.suppress(FileNotFoundError):
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    raise OSError(f"{parent} is removed again and again.")


def _lock(folder):
    """A descriptor that locks a folder as long as this process lives; None where that cannot be had."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # Somebody has it, or the file system has none.
        os.close(descriptor)
        return None
    return descriptor


def _remove_abandoned(parent):
    for path in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < MIN_AGE:
                continue
            lock = _lock(path)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)
