"""A unigram model of the library tokenizers, tokenizer.json, as a model file of SentencePiece.

The two know the same: pieces with scores, and a table of characters to normalise by. SentencePiece's file is
a message of Protocol Buffers, sentencepiece_model.proto, of which this writes the few fields that matter.
"""

import base64
import struct

# Types of pieces.
NORMAL, UNKNOWN, CONTROL = 1, 2, 3
# Numbers of fields: of the model; of a piece; of the rules.
PIECES, RULES = 1, 3
PIECE, SCORE, TYPE = 1, 2, 3
CHARACTERS = 2
# What is before a number, an IEEE float and bytes.
NUMBER, FLOAT, BYTES = 0, 5, 2
SPECIAL = ("<pad>", "</s>")
SPACES = {"Regex": " {2,}"}


def read(whole: dict) -> tuple[bytes, list[str]]:
    """A SentencePiece model, and the pieces in the order of their ids.

    Args:
        whole: what tokenizer.json holds.

    Raises:
        ValueError: it is no unigram model, has tokens besides, or does not normalise by a table.
    """
    model = whole.get("model")
    if not isinstance(model, dict) or model.get("type") != "Unigram" or model.get("byte_fallback"):
        found = model.get("type") if isinstance(model, dict) else model
        raise ValueError(
            f"tokenizer.json must have a Unigram model without byte_fallback. Received: {found!r:.80}."
        )
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, list) or not all(map(_is_pair, vocabulary)):
        raise ValueError(
            "vocab of tokenizer.json must be pairs of a piece and a score. Received: something else."
        )
    pieces = [piece for piece, _ in vocabulary]
    added, known = whole.get("added_tokens") or [], set(pieces)
    for token in added if isinstance(added, list) else [added]:
        if not isinstance(token, dict) or str(token.get("content")) not in known:
            raise ValueError(f"added_tokens of tokenizer.json must be in its vocab. Received: {token!r:.80}.")
    unknown = model.get("unk_id")
    parts = []
    for number, (piece, score) in enumerate(vocabulary):
        kind = UNKNOWN if number == unknown else CONTROL if piece in SPECIAL else NORMAL
        parts.append(_bytes(PIECES, _piece(piece, score, kind)))
    parts.append(_bytes(RULES, _bytes(CHARACTERS, _characters(whole.get("normalizer")))))
    return b"".join(parts), pieces


def _is_pair(entry):
    """Whether an entry of a vocabulary is a text and a number that float32 has."""
    return (
        isinstance(entry, list)
        and list(map(type, entry)) in ([str, float], [str, int])
        and -1e30 < entry[1] < 1e30
    )


def _piece(piece, score, kind):
    return b"".join(
        (
            _bytes(PIECE, piece.encode("utf-8", "replace")),
            _tag(SCORE, FLOAT) + struct.pack("<f", score),
            _tag(TYPE, NUMBER) + _varint(kind),
        )
    )


def _characters(normalizer):
    """The table of a normalizer; empty if there is none."""
    steps = normalizer.get("normalizers") if _is(normalizer, "Sequence") else [normalizer]
    # Spaces at the ends, and those that follow each other: SentencePiece sees to them anyway.
    steps = [
        step
        for step in (steps if isinstance(steps, list) else [None])
        if not _is(step, "Strip") and not (_is(step, "Replace") and step.get("pattern") == SPACES)
    ]
    if steps in ([], [None]):
        return b""
    try:
        if len(steps) == 1 and _is(steps[0], "Precompiled"):
            return base64.b64decode(steps[0].get("precompiled_charsmap"), validate=True)
    except (TypeError, ValueError):
        pass
    raise ValueError(
        f"tokenizer.json must have the normalizer Precompiled, in base 64. Received: {steps!r:.80}."
    )


def _is(step, kind):
    return isinstance(step, dict) and step.get("type") == kind


def _bytes(field, value):
    return _tag(field, BYTES) + _varint(len(value)) + value


def _tag(field, kind):
    return _varint(field << 3 | kind)


def _varint(number):
    found = []
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])
