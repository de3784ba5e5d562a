"""The HTTP API of LibreTranslate, whose clients work with a model of one's own."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from serving.web import languages, markup, requests
from serving.web.errors import Refused
from serving.web.keys import Allowance
from serving.web.models import Model, Models
from serving.web.sentences import Sentences

# Of a request; `characters` of the limits counts what is in them.
MOST_TEXTS = 1000
MOST_ALTERNATIVES = 100


class Api:
    """Its paths, over models and an allowance."""

    def __init__(self, models: Models, allowance: Allowance):
        self.models, self.allowance = models, allowance

    async def translate(self, request: Request) -> JSONResponse:
        """POST /translate."""
        found = await self._fields(request)
        texts = self._texts(request, found)
        source, target = requests.text(found, "source"), requests.text(found, "target")
        kind = requests.text(found, "format", needed=False) or "text"
        if kind not in ("text", "html"):
            raise Refused(400, f"`format` must be text or html. Received: {kind!r:.80}.")
        count = number(found.get("alternatives"))
        answer = self._answer(texts, source, target, kind, count)
        answers = await requests.while_there(request, answer)
        if isinstance(found["q"], str):
            answers = {name: values[0] for name, values in answers.items()}
        return JSONResponse(answers)

    async def languages(self, request: Request) -> JSONResponse:
        """GET /languages."""
        return JSONResponse(languages.listed(self.models))

    async def detect(self, request: Request) -> JSONResponse:
        """POST /detect."""
        found = await self._fields(request)
        ranked = await languages.detect(self.models, self._texts(request, found))
        return JSONResponse(ranked[0] if isinstance(found["q"], str) else ranked)

    async def health(self, request: Request) -> JSONResponse:
        """GET /health: whether this server answers, whatever stands behind it."""
        return JSONResponse({"status": "ok"})

    async def settings(self, request: Request) -> JSONResponse:
        """GET /frontend/settings: what LibreTranslate's page asks for."""
        first, limits = self.models.models[0], self.allowance.anonymous
        characters = self.allowance.largest if limits is None else limits.characters
        return JSONResponse(
            {
                "charLimit": -1 if characters is None else characters,
                "frontendTimeout": 300,  # milliseconds between the last key and a request
                "apiKeys": bool(self.allowance.keys),
                "keyRequired": limits is None,
                "suggestions": False,
                "filesTranslation": False,
                "supportedFilesFormat": [],
                "language": {
                    side: {"code": code, "name": languages.name(code)}
                    for side, code in (("source", first.source), ("target", first.target))
                },
            }
        )

    async def _fields(self, request):
        return await requests.fields(request, self.allowance.largest)

    def _texts(self, request, found) -> list[str]:
        """`q` as a list, counted."""
        texts = found.get("q")
        if not isinstance(texts, list):
            texts = [requests.text(found, "q")]
        elif not texts:
            raise Refused(400, "`q` is missing.")
        elif len(texts) > MOST_TEXTS:
            raise Refused(400, f"`q` may have {MOST_TEXTS:,} texts at most. Received: {len(texts):,}.")
        else:
            texts = [requests.text({"q": text}, "q", needed=False) or "" for text in texts]
        key = requests.text(found, "api_key", needed=False)
        self.allowance.admit(key, requests.address(request), sum(map(len, texts)))
        return texts

    async def _answer(self, texts, source, target, kind, count) -> dict[str, list]:
        """Fields of the answer, each with an item for each text."""
        answers: dict[str, list] = {}
        if source == "auto":
            detected = [ranked[0] for ranked in await languages.detect(self.models, texts, target)]
            answers["detectedLanguage"] = detected
            sources = [found["language"] for found in detected]
        else:
            sources = [source] * len(texts)
        models = [languages.pair(self.models, code, target) for code in sources]
        by_model: dict[Model, list[int]] = {}
        for place, model in enumerate(models):
            by_model.setdefault(model, []).append(place)
        # As in LibreTranslate, HTML has no alternatives.
        has_others = count and kind == "text"
        work = with_alternatives if has_others else {"text": plain, "html": in_markup}[kind]
        translated: list[Any] = [None] * len(texts)
        for model, places in by_model.items():
            for place, answer in zip(places, await work(model, [texts[n] for n in places]), strict=True):
                translated[place] = answer
        if count:
            answers["alternatives"] = [others[1 : count + 1] if has_others else [] for others in translated]
        if has_others:
            translated = [others[0] for others in translated]
        return answers | {"translatedText": translated}


def number(value) -> int:
    """`alternatives`, which is a text in a form."""
    if value in (None, "", 0):
        return 0
    digits = "" if isinstance(value, bool) else str(value)
    if not re.fullmatch("[0-9]{1,3}", digits) or int(digits) > MOST_ALTERNATIVES:
        raise Refused(400, f"`alternatives` must be from 0 to {MOST_ALTERNATIVES}.")
    return int(digits)


async def plain(model: Model, texts: list[str]) -> list[str]:
    """Translations of texts of many sentences."""
    read = [Sentences.read(text, model.source) for text in texts]
    found = iter(await model.translate([sentence for part in read for sentence in part.texts]))
    return [part.joined([next(found) for _ in part.texts]) for part in read]


async def in_markup(model: Model, texts: list[str]) -> list[str]:
    """Translations of texts in HTML."""
    read = [markup.texts(text) for text in texts]
    found = iter(await plain(model, [text for inside, _ in read for text in inside]))
    return [rebuilt([next(found) for _ in inside]) for inside, rebuilt in read]


async def with_alternatives(model: Model, texts: list[str]) -> list[list[str]]:
    """All translations of each text, the best first; of several sentences each has as many as it has."""
    read = [Sentences.read(text, model.source) for text in texts]
    found = iter(await model.n_best([sentence for part in read for sentence in part.texts]))
    answers = []
    for part in read:
        ranked = [[text for text, _ in next(found)] or [""] for _ in part.texts]
        longest = max(map(len, ranked), default=1)
        joined = [part.joined([texts[min(n, len(texts) - 1)] for texts in ranked]) for n in range(longest)]
        answers.append(list(dict.fromkeys(joined)))
    return answers
