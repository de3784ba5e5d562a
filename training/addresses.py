"""Addresses of processes: whether one is well formed, answers, or is free."""

import re
import socket

SECONDS = 10.0  # for an answer


def check_answers(url: str) -> None:
    """Raises ValueError unless url is grpc://HOST:PORT and something listens there."""
    found = re.fullmatch(r"grpc://([^/]+):(\d{1,5})", url)
    if not found:
        raise ValueError(f"The address of a service must be grpc://HOST:PORT. Received: {url}.")
    try:
        socket.create_connection((found[1], int(found[2])), SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f"A service must listen at its address. Received: {url}: {error}.") from error


def check_free(port: int) -> None:
    """Raises ValueError unless this machine has such a port and nothing listens on it; 0 is any free one."""
    try:
        socket.create_server(("", port)).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f"The port must be a free one, 0 to 65535. Received: {port}: {error}.") from error
