"""What the page asks for: models, translations sentence by sentence, and the details of one sentence."""

import asyncio
import contextlib
import json

from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse

from serving.client_errors import ServingError
from serving.web import languages, requests, words
from serving.web.errors import Refused, explained
from serving.web.keys import Allowance
from serving.web.models import Models
from serving.web.sentences import Sentences


class Page:
    """Its paths, over models and an allowance."""

    def __init__(self, models: Models, allowance: Allowance):
        self.models, self.allowance = models, allowance

    async def list_models(self, request: Request) -> JSONResponse:
        """GET /frontend/models."""
        found = await requests.while_there(request, self.models.states())
        for state in found:
            state["names"] = [languages.name(state["source"]), languages.name(state["target"])]
        return JSONResponse(found)

    async def translate(self, request: Request) -> StreamingResponse:
        """POST /frontend/translate: lines of JSON.

        First {"before", "sentences": [[text, what follows it]]}, then {"place", "translation", "gap"} of each
        sentence as it comes, or {"error"}. An error before the first translation has a status of its own.
        """
        model, text = await self._asked(request)
        read = Sentences.read(text, model.source)

        async def lines():
            found = model.translations(read.texts)
            async with contextlib.aclosing(found):
                first = [item async for item in _first(found)]
                yield {
                    "before": read.before,
                    "sentences": list(map(list, zip(read.texts, read.gaps, strict=True))),
                }
                for item in first:
                    yield _translated(read, *item)
                async for item in found:
                    yield _translated(read, *item)

        started = lines()
        head = await requests.while_there(request, anext(started))

        async def body():
            async with contextlib.aclosing(started):
                yield _line(head)
                try:
                    async for line in started:
                        yield _line(line)
                except ServingError as error:
                    yield _line({"error": explained(error).message})

        return StreamingResponse(body(), media_type="application/x-ndjson")

    async def details(self, request: Request) -> JSONResponse:
        """POST /frontend/details: alternatives and linked words of one sentence, or why there are none."""
        model, text = await self._asked(request)

        async def alternatives():
            (found,) = await model.n_best([text])
            return [{"text": text, "score": round(score, 3)} for text, score in found]

        async def links():
            row = await model.align(text)
            return words.links(text, row["translation"], row)

        async def found():
            parts = await asyncio.gather(alternatives(), links(), return_exceptions=True)
            return {name: _or_why(part) for name, part in zip(("alternatives", "links"), parts, strict=True)}

        return JSONResponse(await requests.while_there(request, found()))

    async def _asked(self, request):
        """The model and the text of a request, which is counted."""
        found = await requests.fields(request, self.allowance.largest)
        model, text = self.models.named(requests.text(found, "model")), requests.text(found, "text")
        key = requests.text(found, "api_key", needed=False)
        self.allowance.admit(key, requests.address(request), len(text))
        return model, text


async def _first(found):
    """The first item, if there is one."""
    async for item in found:
        yield item
        return


def _translated(read, place, translation):
    return {"place": place, "translation": translation, "gap": read.gap(place, translation)}


def _line(value):
    return json.dumps(value, ensure_ascii=False) + "\n"


def _or_why(part):
    """A part of an answer, or {"problem"} if the model does not have it."""
    if isinstance(part, Refused):
        return {"problem": part.message}
    if isinstance(part, ServingError):
        return {"problem": explained(part).message}
    if isinstance(part, BaseException):
        raise part
    return part
