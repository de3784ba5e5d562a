"""What a request says: its fields, whether its client is still there."""

import asyncio
import json
import urllib.parse
from collections.abc import Coroutine
from typing import Any

from starlette.requests import ClientDisconnect, Request

from serving import client
from serving.web.errors import Refused

# Bytes of a body beside its text, and for each character: \\ud83d\\ude42 is one.
BESIDE, EACH = 2**16, 12
MOST_BYTES = 2**24
MOST_FIELDS = 1100  # a thousand texts, and what is said of them
FORM = "application/x-www-form-urlencoded"


async def fields(request: Request, characters: int | None) -> dict[str, Any]:
    """The fields of a body in JSON, or of a form.

    Args:
        characters: that its texts may have; None for any number.

    Raises:
        Refused: it is too large, or neither.
    """
    most = MOST_BYTES if characters is None else min(MOST_BYTES, BESIDE + EACH * characters)
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise Refused(413, f"A request may have {most:,} bytes at most.")
    kind = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
    if kind == "application/json":
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            raise Refused(400, "The request is no valid JSON.") from None
        if not isinstance(found, dict):
            raise Refused(400, "The request must be an object in JSON.")
        return found
    if kind == FORM:
        try:
            values = urllib.parse.parse_qs(data.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS)
        except ValueError:
            raise Refused(400, "The form has too many fields.") from None
        # Clients send a list of texts as many fields; of others the first counts.
        return {name: found if name == "q" and found[1:] else found[0] for name, found in values.items()}
    raise Refused(415, f"A request must be application/json or {FORM}. Received: {kind:.80}.")


def text(found: dict, name: str, needed: bool = True) -> str | None:
    """A field that is a text; None if it is not there and need not be.

    Raises:
        Refused: it is missing, or no text.
    """
    value = found.get(name)
    if value in (None, ""):
        if needed:
            raise Refused(400, f"`{name}` is missing.")
        return None
    if not client.is_text(value):
        raise Refused(400, f"`{name}` must be a text.")
    return value


def address(request: Request) -> str:
    """Who asks; behind a proxy on this machine whom that names."""
    return request.client.host if request.client else ""


async def while_there(request: Request, work: Coroutine) -> Any:
    """What a coroutine returns, which is cancelled when the client goes away.

    Raises:
        ClientDisconnect: it has.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for waited in (task, gone):
            waited.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request):
    while (await request.receive())["type"] != "http.disconnect":
        pass
