"""Texts of many users in few requests: who waits for whom, and what is not sent."""

import asyncio

import pytest

pytest.importorskip("starlette", reason='pip install ".[web]"')

from serving.client_errors import ServingError  # noqa: E402
from serving.web import batching  # noqa: E402
from serving.web.batching import Batcher  # noqa: E402


def asker(asked, seconds=0.0, refused=()):
    """A server that answers in capitals, and remembers what it was asked."""

    async def ask(texts):
        asked.append(texts)
        await asyncio.sleep(seconds)
        if set(refused) & set(texts):
            raise ServingError("INVALID_ARGUMENT", "no")
        return [text.upper() for text in texts]

    return ask


def test_texts_that_come_together_are_one_request():
    asked = []

    async def run():
        batcher = Batcher(asker(asked), 4)
        return await asyncio.gather(*(batcher.put([text])[0] for text in "abcde"))

    assert asyncio.run(run()) == list("ABCDE")
    assert asked == [list("abcd"), ["e"]]


def test_a_short_text_does_not_wait_for_a_long_one():
    asked, doors = [], []

    async def ask(texts):
        asked.append(texts)
        doors.append(asyncio.Event())
        await doors[-1].wait()
        return texts

    async def run():
        batcher = Batcher(ask, 2)
        long = batcher.put([f"long {number}" for number in range(20)])
        while len(asked) < batching.MOST_IN_FLIGHT:
            await asyncio.sleep(0)
        short = batcher.put(["short"])
        doors[0].set()
        while len(asked) == batching.MOST_IN_FLIGHT:
            await asyncio.sleep(0.001)
        for future in [*long, *short]:
            future.cancel()

    asyncio.run(run())
    assert asked[-1] == ["short", "long 8"]


def test_what_nobody_waits_for_is_not_sent_and_what_was_sent_is_given_up():
    asked, ended = [], []

    async def ask(texts):
        asked.append(texts)
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            ended.append(texts)
            raise

    async def run():
        batcher = Batcher(ask, 1)
        futures = batcher.put(list("abcdefgh"))
        await asyncio.sleep(0.02)
        for future in futures:
            future.cancel()
        await asyncio.sleep(0.01)
        return batcher.asked

    assert asyncio.run(run()) == set()
    assert asked == ended == [[letter] for letter in "abcdefgh"[: batching.MOST_IN_FLIGHT]]


def test_a_request_goes_on_while_somebody_waits_for_it():
    async def run():
        first, second = Batcher(asker([], 0.01), 2).put(["a", "b"])
        await asyncio.sleep(0.006)
        first.cancel()
        return await second

    assert asyncio.run(run()) == "B"


def test_a_text_that_is_refused_is_not_the_others_fault():
    asked = []

    async def run():
        futures = Batcher(asker(asked, refused=["bad"]), 8).put(["a", "bad", "b"])
        await asyncio.wait(futures)
        return futures

    first, bad, last = asyncio.run(run())
    assert (first.result(), last.result()) == ("A", "B")
    assert bad.exception().code == "INVALID_ARGUMENT"
    assert asked == [["a", "bad", "b"], ["a"], ["bad"], ["b"]]


def test_more_than_may_wait_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(batching, "MOST_WAITING", 3)

    async def run():
        batcher = Batcher(asker([]), 1)
        futures = batcher.put(["a", "b"])
        with pytest.raises(ServingError, match="RESOURCE_EXHAUSTED"):
            batcher.put(["c", "d"])
        return await asyncio.gather(*futures)

    assert asyncio.run(run()) == ["A", "B"]


def test_a_fault_reaches_who_waits():
    async def ask(texts):
        raise ZeroDivisionError

    async def run():
        await Batcher(ask, 1).put(["a"])[0]

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())


def test_users_share_requests_to_the_server_and_equal_texts_are_sent_once(web):
    fields = {"source": "en", "target": "de"}
    answers = web.post_all("/translate", *({"q": f"Text {n}. Two!", **fields} for n in range(40)))
    assert [answer.json()["translatedText"] for answer in answers] == [
        f"<Text {n}.> Zwei!" for n in range(40)
    ]
    assert len(web.fake.requests) <= 4
    assert max(len(texts) for _, texts in web.fake.requests) <= 32
    # What was answered lately is not asked again.
    web.post("/translate", {"q": "Two! Two! Text 7. New.", **fields})
    assert web.fake.requests[-1] == ("serving_default", ["New."])


def test_an_answer_is_not_kept_for_ever(web, monkeypatch):
    fields = {"q": "One.", "source": "en", "target": "de"}
    monkeypatch.setattr("serving.web.models.KEPT", -1.0)
    for _ in range(2):
        web.post("/translate", fields)
    assert [texts for _, texts in web.fake.requests] == [["One."]] * 2
    monkeypatch.setattr("serving.web.models.KEPT", 30.0)
    monkeypatch.setattr("serving.web.models.MOST_KEPT", 1)
    for text in ("One.", "Two!", "One."):
        web.post("/translate", fields | {"q": text})
    assert len(web.fake.requests) == 4  # the last is kept from before
