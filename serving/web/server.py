"""The HTTP server around the application."""

import asyncio
import socket
from collections.abc import Callable, Coroutine

import uvicorn
from starlette.applications import Starlette

# Seconds for answers that are under way when the server ends.
GRACE = 5
# Seconds that a connection without a request stays open: longer than proxies keep theirs, which would else
# send a request into one that is just being closed.
KEEP_ALIVE = 75


def run(app: Starlette, host: str, port: int, ready: Callable, check: Callable[[], Coroutine]) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
        ready: called with HOST:PORT when it serves.
        check: a coroutine function that is run once beside it.

    Raises:
        OSError: the port is taken.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    listening = listen(host, port)
    asyncio.run(_serve(uvicorn.Server(config), listening, host, ready, check))


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise OSError(f"The page cannot listen on {host}:{port}: {error.strerror or error}") from error


async def _serve(server, listening, host, ready, check):
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    ready(f"[{host}]:{listening.getsockname()[1]}" if ":" in host else f"{host}:{listening.getsockname()[1]}")
    checking = asyncio.create_task(check())
    await serving
    checking.cancel()
