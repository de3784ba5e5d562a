"""Files of certificates and keys."""

from pathlib import Path


def read(path: str | None) -> bytes | None:
    """The bytes of a PEM file; None stays None.

    Raises:
        ValueError: the file is none. gRPC would take an empty one for none at all, and trust the system's.
        OSError: it cannot be read.
    """
    if path is None:
        return None
    data = Path(path).read_bytes()
    if b"-----BEGIN " not in data:
        raise ValueError(f"A certificate or key must be a PEM file. Received: {path}, which is none.")
    return data
