"""Names of languages, and which of those that are served a text is in."""

import asyncio
import functools

import babel

from serving.web.errors import Refused
from serving.web.models import Model, Models


def name(code: str) -> str:
    """A language's name in English; the code itself if it has none."""
    try:
        locale = babel.Locale.parse(code, sep="-")
    except (ValueError, TypeError, babel.UnknownLocaleError):
        return code
    return locale.get_display_name("en") or code


def listed(models: Models) -> list[dict]:
    """All languages that models translate from, as LibreTranslate's /languages has them."""
    targets = {}
    for model in models.models:
        known = targets.setdefault(model.source, [])
        if model.target not in known:
            known.append(model.target)
    return [{"code": code, "name": name(code), "targets": found} for code, found in targets.items()]


def pair(models: Models, source: str, target: str) -> Model:
    """The first model that translates from one language to another.

    Raises:
        Refused: there is none.
    """
    found = [model for model in models.models if model.source == source]
    for model in found:
        if model.target == target:
            return model
    if not found:
        known = ", ".join(dict.fromkeys(model.source for model in models.models))
        raise Refused(400, f"No model translates from {source!r:.80}; there are {known}.")
    known = ", ".join(dict.fromkeys(model.target for model in found))
    raise Refused(400, f"No model translates from {source!r:.80} to {target!r:.80}; there are {known}.")


async def detect(models: Models, texts: list[str], target: str | None = None) -> list[list[dict]]:
    """For each text the languages that models translate from, the likeliest first.

    Args:
        target: of the models; all if None.

    Returns:
        [{"language", "confidence"}] of each: per cent, of the languages that are served.

    Raises:
        Refused: no model says what languages it translates from.
    """
    fits = [model for model in models.models if model.has_languages and target in (None, model.target)]
    codes = tuple(dict.fromkeys(model.source for model in fits))
    if not codes:
        to = f" to {target!r:.80}" if target else ""
        raise Refused(400, f"No model{to} says what language it translates from.")
    if len(codes) == 1:
        return [[{"language": codes[0], "confidence": 100.0}] for _ in texts]
    return await asyncio.to_thread(_ranked, codes, texts)


def _ranked(codes, texts):
    identifier, by_base = _identifier(codes)
    found = []
    for text in texts:
        shares = {base: share for base, share in identifier.rank(text)} if identifier else {}
        ranked = [
            {"language": code, "confidence": round(100 * float(shares.get(base, 0.0)), 1)}
            for base, code in by_base
        ]
        found.append(sorted(ranked, key=lambda item: -item["confidence"]))
    return found


@functools.cache
def _identifier(codes):
    """py3langid for these languages, and (its code, ours) of each."""
    from py3langid import langid  # only here: its model takes a second to load

    by_base = [(code.partition("-")[0].lower(), code) for code in codes]
    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    known = sorted({base for base, _ in by_base} & set(identifier.labels))
    if known:
        identifier.set_languages(known)
    return (identifier if known else None), by_base
