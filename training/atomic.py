"""Files that are whole at every moment."""

import os
import threading
from pathlib import Path


def write_text(path, text: str) -> None:
    """Writes a file beside, flushes it to disk and renames it into place: a reader never sees half of it."""
    path = Path(path)
    # Two workers may write into the folder of one trial, if one of them was thought to be gone.
    beside = path.with_name(f".incomplete-{threading.get_native_id()}-{path.name}")
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
