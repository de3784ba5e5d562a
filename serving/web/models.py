"""The models behind the page: what each offers, and its answers."""

import asyncio
import collections
import dataclasses
import re
import time
from collections.abc import AsyncIterator
from typing import Self

from serving import client
from serving.client_errors import ServingError
from serving.web.batching import Batcher
from serving.web.errors import Refused, explained

# Seconds for which a model's signatures, and its answers, are kept. Then another version may be there.
KEPT = 30.0
MOST_KEPT = 5_000
# Seconds after which the page is shown, whatever is still not known of a model.
SOON = 3.0
FORM = re.compile(r"(?P<name>[^=]+?)(?:=(?P<source>[\w-]{2,35}):(?P<target>[\w-]{2,35}))?")
# What a signature must answer with, to be of use here.
N_BEST = ("translate_nbest", {"translations", "scores"})
ALIGN = ("align", {"translation", "source_tokens", "target_tokens", "attention"})


@dataclasses.dataclass(frozen=True)
class Offer:
    """Signatures of a model, and the names of their inputs; None for those that it does not have."""

    best: tuple[str, str]
    n_best: tuple[str, str] | None
    align: tuple[str, str] | None

    @classmethod
    def read(cls, signatures) -> Self:
        """From {signature: SignatureDef as JSON}.

        Raises:
            Refused: it does not answer a text with a text.
        """
        best = one_text("translate", signatures) or one_text("serving_default", signatures)
        if best is None:
            raise Refused(502, "This model does not answer a text with a text.")
        return cls(best, *(one_text(name, signatures, outputs) for name, outputs in (N_BEST, ALIGN)))


def one_text(name, signatures, outputs=None) -> tuple[str, str] | None:
    """The signature and its input, if it takes a text, and answers with these outputs, or with one text."""
    found = signatures.get(name)
    if found is None or [info["dtype"] for info in found["inputs"].values()] != ["DT_STRING"]:
        return None
    if outputs is None:
        fits = [info["dtype"] for info in found["outputs"].values()] == ["DT_STRING"]
    else:
        fits = outputs <= found["outputs"].keys()
    return (name, next(iter(found["inputs"]))) if fits else None


class Model:
    """One model of the server.

    Args:
        name: its name there.
        source, target: codes of its languages; its name for both if it has none.
        upstream: `upstream.Upstream`.
        max_rows: texts in a request to the server, at most.

    Answers raise `ServingError`, and `Refused` if the model does not offer them.
    """

    def __init__(self, name, source, target, upstream, max_rows):
        self.name, self.upstream, self.max_rows = name, upstream, max_rows
        self.has_languages = source is not None
        self.source, self.target = source or name, target or name
        self.batchers = {}
        self.offered = None  # (when, Offer)
        self.asking = asyncio.Lock()
        self.recent = Recent()

    async def offer(self) -> Offer:
        """What it offers."""
        async with self.asking:
            if self.offered is None or self.offered[0] < time.monotonic() - KEPT:
                found = Offer.read(await self.upstream.metadata(self.name))
                self.offered = (time.monotonic(), found)
            return self.offered[1]

    async def state(self) -> dict:
        """What the page has to know of it; "problem" says why it cannot be asked, or is None."""
        found = {"name": self.name, "source": self.source, "target": self.target}
        has = {"alternatives": False, "links": False}
        try:
            async with asyncio.timeout(SOON):
                offer = await self.offer()
        except ServingError as error:
            return found | has | {"problem": explained(error).message}
        except TimeoutError:
            return found | has | {"problem": "The model's server has not answered yet."}
        except Refused as error:
            return found | has | {"problem": error.message}
        has = {"alternatives": offer.n_best is not None, "links": offer.align is not None}
        return found | {"problem": None} | has

    async def translations(self, texts: list[str]) -> AsyncIterator[tuple[int, str]]:
        """Yields (number of the text, translation) as they come; the rest is given up when nobody asks on."""
        places = {}
        for place, text in enumerate(texts):
            places.setdefault(text, []).append(place)
        new = []
        for text, numbers in places.items():
            if (known := self.recent.get(text)) is None:
                new.append(text)
            for number in numbers if known is not None else ():
                yield number, known
        if not new:
            return
        offer = await self.offer()
        futures = self._batcher(offer.best).put(new)
        pending, of = set(futures), dict(zip(futures, new, strict=True))
        try:
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for future in done:
                    (translation,) = self._row(future).values()
                    self.recent.keep(of[future], translation)
                    for number in places[of[future]]:
                        yield number, translation
        finally:
            for future in futures:
                future.cancel() or future.exception()  # so that nobody reports one that was not read

    async def translate(self, texts: list[str]) -> list[str]:
        """The translations, in order."""
        found = {number: translation async for number, translation in self.translations(texts)}
        return [found[number] for number in range(len(texts))]

    async def n_best(self, texts: list[str]) -> list[list[tuple[str, float]]]:
        """For each text its translations that differ, with their log-probabilities, the best first."""
        rows = await self._rows((await self.offer()).n_best, texts, N_BEST[0])
        return [distinct(row["translations"], row["scores"]) for row in rows]

    async def align(self, text: str) -> dict:
        """The row of the signature `align`."""
        (row,) = await self._rows((await self.offer()).align, [text], ALIGN[0])
        return row

    async def _rows(self, signature, texts, name):
        if signature is None:
            raise Refused(400, f"The model {self.name} was exported without `{name}`, which this needs.")
        futures = self._batcher(signature).put(texts)
        try:
            await asyncio.wait(futures)
            return [self._row(future) for future in futures]
        finally:
            for future in futures:
                future.cancel() or future.exception()

    def _row(self, future):
        try:
            return future.result()
        except ServingError as error:
            if error.answered:
                self.offered = None  # it may be another version's
            raise

    def _batcher(self, signature):
        if signature not in self.batchers:
            name, takes = signature

            async def ask(texts):
                outputs = await self.upstream.predict(self.name, name, {takes: texts})
                if any(not isinstance(rows, list) or len(rows) != len(texts) for rows in outputs.values()):
                    raise ServingError("INTERNAL", "the answer has not the form of TF Serving's: other rows")
                return [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]

            self.batchers[signature] = Batcher(ask, self.max_rows)
        return self.batchers[signature]


def distinct(texts, scores) -> list[tuple[str, float]]:
    """Texts that differ, with the score of the first of equals, without the places that stayed empty."""
    found = {}
    for text, score in zip(texts, scores, strict=True):
        if score > -1e38:  # the lowest float stands for none
            found.setdefault(text, score)
    return list(found.items())


class Recent:
    """Answers of the last half minute: while somebody types, all sentences but one stay as they are."""

    def __init__(self):
        self.found = collections.OrderedDict()  # text -> (when, answer), the oldest first

    def get(self, text: str) -> str | None:
        """The answer, if it is still fresh."""
        when, answer = self.found.get(text, (0.0, None))
        return answer if when > time.monotonic() - KEPT else None

    def keep(self, text: str, answer: str) -> None:
        """Keeps an answer, and drops the oldest of too many."""
        self.found.pop(text, None)
        self.found[text] = (time.monotonic(), answer)
        while len(self.found) > MOST_KEPT:
            self.found.popitem(last=False)


class Models:
    """All models, in the order of the command line."""

    def __init__(self, models: list[Model]):
        self.models = models
        self.upstream = models[0].upstream

    @classmethod
    def read(cls, given, upstream, max_rows) -> Self:
        """From NAME or NAME=SOURCE:TARGET of each.

        Raises:
            ValueError: one has another form, or two have one name.
        """
        found = {}
        for text in given:
            fits = FORM.fullmatch(text)
            if not fits or not client.is_text(text):
                raise ValueError(f"`model` must be NAME or NAME=SOURCE:TARGET. Received: model={text!r:.80}.")
            if fits["name"] in found:
                raise ValueError(f"`model` must be there once for each name. Received: {fits['name']} twice.")
            found[fits["name"]] = Model(*fits.group("name", "source", "target"), upstream, max_rows)
        return cls(list(found.values()))

    def named(self, name) -> Model:
        """The model of a name.

        Raises:
            Refused: there is none.
        """
        for model in self.models:
            if model.name == name:
                return model
        known = ", ".join(model.name for model in self.models)
        raise Refused(400, f"There is no model {name!r:.80}; there are {known}.")

    async def states(self) -> list[dict]:
        """`Model.state` of each."""
        return list(await asyncio.gather(*(model.state() for model in self.models)))

    async def check(self, say) -> None:
        """Says of each model that cannot be asked why that is so."""
        for model in self.models:
            try:
                await model.offer()
            except (ServingError, Refused) as error:
                say(f"{model.name} at {self.upstream.target}: {error} The page goes on trying.")
