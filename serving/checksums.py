"""SHA-256 sums of an export's files, as `sha256sum --check SHA256SUMS` reads them."""

import hashlib
from pathlib import Path

CHECKSUM_FILE = "SHA256SUMS"


def digest(path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(folder) -> None:
    """Writes the sums of all other files of a folder into it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / CHECKSUM_FILE)
    lines = [f"{digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths]
    (folder / CHECKSUM_FILE).write_text("".join(lines), encoding="utf-8")
