"""Texts of many users in one request to the model."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from serving.client_errors import ServingError

# Texts that may wait for one signature of one model; one more is refused at once.
MOST_WAITING = 20_000
# Requests to the server at once, for one signature. While they are all on their way, texts gather.
MOST_IN_FLIGHT = 4
# Seconds that a text waits for company.
WINDOW = 0.003


class Batcher:
    """Joins texts that come within a few milliseconds.

    Who asks for many texts does not keep others waiting: the first texts of all requests come before the
    second ones. A text that nobody waits for any more is not sent.

    Args:
        ask: (texts) -> their rows, which raises `ServingError`.
        max_rows: texts in a request, at most.
    """

    def __init__(self, ask: Callable[[list[str]], Awaitable[list[Any]]], max_rows: int):
        self.ask, self.max_rows = ask, max_rows
        self.waiting = []  # heap of (turn, number, text, future)
        self.numbers = itertools.count()
        self.turn = 0
        self.timer = None
        self.asked = set()

    def put(self, texts: list[str]) -> list[asyncio.Future]:
        """A future row for each text of a request.

        Raises:
            ServingError: RESOURCE_EXHAUSTED, too many wait already.
        """
        if len(self.waiting) + len(texts) > MOST_WAITING:
            raise ServingError("RESOURCE_EXHAUSTED", f"{len(self.waiting)} texts wait already")
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in texts]
        for place, (text, future) in enumerate(zip(texts, futures, strict=True)):
            heapq.heappush(self.waiting, (self.turn + place, next(self.numbers), text, future))
        self._plan()
        return futures

    def _plan(self):
        if self.waiting and self.timer is None and len(self.asked) < MOST_IN_FLIGHT:
            delay = 0 if len(self.waiting) >= self.max_rows else WINDOW
            self.timer = asyncio.get_running_loop().call_later(delay, self._send)

    def _send(self):
        self.timer = None
        batch = []
        while self.waiting and len(batch) < self.max_rows:
            self.turn, _, text, future = heapq.heappop(self.waiting)
            if not future.done():
                batch.append((text, future))
        if batch:
            task = asyncio.create_task(self._answer(batch))
            self.asked.add(task)
            task.add_done_callback(self._ended)
            for _, future in batch:
                future.add_done_callback(lambda _: task.cancel() if all_done(batch) else None)
        self._plan()

    def _ended(self, task):
        self.asked.discard(task)
        self._plan()

    async def _answer(self, batch):
        try:
            rows = await self.ask([text for text, _ in batch])
        except ServingError as error:
            if error.code == "INVALID_ARGUMENT" and len(batch) > 1:
                # One text that the model refuses is not the others' fault.
                await asyncio.gather(*(self._answer([item]) for item in batch))
                return
            rows = [error] * len(batch)
        except Exception as error:  # a fault of this program: whoever waits must learn of it
            rows = [error] * len(batch)
        for (_, future), row in zip(batch, rows, strict=True):
            if not future.done():
                future.set_exception(row) if isinstance(row, Exception) else future.set_result(row)


def all_done(batch) -> bool:
    """Whether nobody waits for a batch."""
    return all(future.done() for _, future in batch)
