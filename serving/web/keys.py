"""Who may ask, and how much.

    {
        "anonymous": {"characters": 2000, "requests_per_minute": 30},
        "keys": {"a-long-secret": {"name": "editor", "characters": 100000, "characters_per_minute": 500000}}
    }

What is not named is not limited. Without "anonymous" a key is needed.
"""

import dataclasses
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from serving.web.errors import Refused

# Clients whose use is remembered; those that have all of it left are forgotten first.
MOST_CLIENTS = 10_000
SHORTEST_KEY = 8


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of one client; None for no limit."""

    characters: int | None = None  # of a request
    requests_per_minute: int | None = None
    characters_per_minute: int | None = None


class Allowance:
    """Admits requests, or not.

    Args:
        anonymous: limits of a client without a key, by its address; None if it may not ask.
        keys: {key: limits}.
        clock: seconds.
    """

    def __init__(self, anonymous: Limits | None, keys: dict[str, Limits], clock=time.monotonic):
        self.anonymous, self.clock = anonymous, clock
        # By their sums: how long a look-up takes says nothing of a key.
        self.keys = {digest(key): limits for key, limits in keys.items()}
        self.used = {}  # (client, what) -> (when, how much was left)

    @property
    def largest(self) -> int | None:
        """Characters that a request may have, of whoever may ask for most."""
        every = [*self.keys.values(), *([self.anonymous] if self.anonymous else [])]
        most = [limits.characters for limits in every]
        return None if None in most else max(most)

    def admit(self, key: str | None, address: str, characters: int) -> None:
        """Counts a request.

        Raises:
            Refused: the key is wrong or missing, the text too long, or there were too many lately.
        """
        limits, client = self._client(key, address)
        if limits.characters is not None and characters > limits.characters:
            raise Refused(
                400, f"A text may have {limits.characters:,} characters at most. Received: {characters:,}."
            )
        wanted = {"requests": (1, limits.requests_per_minute)}
        wanted["characters"] = (characters, limits.characters_per_minute)
        left = {}
        for what, (amount, most) in wanted.items():
            if most is None:
                continue
            left[what] = self._left(client, what, most) - amount
            if left[what] < 0:
                wait = -left[what] * 60 / most
                raise Refused(429, f"At most {most:,} {what} a minute; try again in {wait:.0f} s.", wait)
        for what, amount in left.items():
            self.used[client, what] = (self.clock(), amount)
        if len(self.used) > MOST_CLIENTS:
            self._forget()

    def _client(self, key, address):
        if key:
            if digest(key) not in self.keys:
                raise Refused(403, "This API key is not known here.")
            return self.keys[digest(key)], digest(key)
        if self.anonymous is None:
            raise Refused(403, "An API key is needed here.")
        return self.anonymous, address

    def _left(self, client, what, most):
        when, left = self.used.get((client, what), (self.clock(), most))
        return min(most, left + (self.clock() - when) * most / 60)

    def _forget(self):
        by_age = sorted(self.used, key=lambda client: self.used[client][0])
        for client in by_age[: len(by_age) // 2]:
            del self.used[client]


def digest(key: str) -> bytes:
    """SHA-256 of a key."""
    return hashlib.sha256(key.encode()).digest()


def open_to_all(characters: int) -> Allowance:
    """Anybody may ask, for so many characters at once."""
    return Allowance(Limits(characters), {})


def read(path) -> Allowance:
    """From a file, see above.

    Raises:
        ValueError: it is no such file; names the field.
        OSError: it cannot be read.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"`keys` must be a JSON file. Received: {path}: {error}.") from None
    check_object(path, found, "the file", {"anonymous", "keys"})
    anonymous = found.get("anonymous")
    if anonymous is not None:
        anonymous = limits_of(path, anonymous, "anonymous")
    keys = found.get("keys", {})
    check_object(path, keys, "keys", None)
    for key in keys:
        if len(key) < SHORTEST_KEY:
            raise ValueError(
                f"A key must have {SHORTEST_KEY} characters or more. Received: one of {len(key)}."
            )
    if anonymous is None and not keys:
        raise ValueError(f"`keys` must name a key, or limits for anonymous. Received: {path}, without.")
    # An error does not quote a key: it would stand in logs.
    named = {key: limits_of(path, given, f"key {n + 1}") for n, (key, given) in enumerate(keys.items())}
    return Allowance(anonymous, named)


def limits_of(path, found: Any, where: str) -> Limits:
    """`Limits` of an object in the file."""
    names = {field.name for field in dataclasses.fields(Limits)}
    check_object(path, found, where, names | {"name"})
    for name in names & found.keys():
        if type(found[name]) is not int or found[name] < 1:
            raise ValueError(
                f"`{name}` of {where} in {path} must be a positive integer. Received: {found[name]!r:.80}."
            )
    return Limits(**{name: found[name] for name in names & found.keys()})


def check_object(path, found, where, names) -> None:
    """Raises ValueError unless it is an object with no other fields than these."""
    if not isinstance(found, dict):
        raise ValueError(f"{path}: {where} must be an object in JSON. Received: {found!r:.80}.")
    if names is not None and found.keys() - names:
        wrong = ", ".join(sorted(found.keys() - names))
        raise ValueError(f"{path}: {where} may have {', '.join(sorted(names))}. Received: {wrong:.80}.")
