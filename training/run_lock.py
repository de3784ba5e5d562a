"""Lock of a run folder: one process at a time writes there, and the lock ends with it."""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def held(folder) -> Iterator[None]:
    """Keeps every other process from the same inside the block.

    The lock is on a file beside the folder, `.NAME.lock`, which need not exist yet. The system lets go of it
    when the process ends, however that ends; on network file systems where these support locks (NFS from
    version 4 does, and then between machines, too). Where a file system has none, a line says so.

    Args:
        folder: that is written.

    Raises:
        ValueError: another process holds it; says which.
    """
    folder = Path(folder).absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".{folder.name}.lock")
    file = _locked(path, folder)
    try:
        yield
    finally:
        if file is not None:
            path.unlink(missing_ok=True)  # while it is held: whoever opened it before looks again
            file.close()


def _locked(path, folder):
    """The open file with the lock on it; None where the file system has no locks."""
    while True:
        file = None
        try:
            file = open(path, "a+", encoding="utf-8")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                raise ValueError(
                    f"Only one process may write into a run folder at a time. Received: {folder}, "
                    f"which {_holder(file)} holds."
                ) from None
        except OSError as error:
            if file is not None:
                file.close()
                path.unlink(missing_ok=True)
            print(f"{folder} is not locked, see to it that no other process writes there: {error.strerror}")
            return None
        # The one before may have removed the file between our opening and our locking it.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
        file.close()
    file.truncate(0)
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
    file.flush()
    return file


def _holder(file) -> str:
    """The process that a lock's file names."""
    file.seek(0)
    try:
        said = json.loads(file.read())
        return f"process {said['pid']} on {said['host']}, since {said['since']},"
    except (ValueError, LookupError, TypeError):  # it has just begun
        return "another process"
