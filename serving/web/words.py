"""Words of a sentence and of its translation, linked by attention.

Models read and write pieces. A text's words are what stands between its spaces; where there are none
(Chinese, Japanese, Thai, a date in digits) the pieces stand for words.
"""

import re
import unicodedata
from collections.abc import Iterator

START = "\u2581"  # SentencePiece's mark of a word's first piece
BYTE = re.compile(r"<0x([0-9A-F]{2})>")
ENDS = ("</s>", "")
# Scripts that write without spaces.
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff]")


def links(text: str, translation: str, row: dict) -> dict | None:
    """Which words of a text its translation's words attend to.

    Args:
        text, translation: the sentences.
        row: of the signature `align`: "source_tokens" (S,), "target_tokens" (T,), "attention" (T, S).

    Returns:
        "source" and "target": the parts that make up the text, [part, number of the word or None];
        "weights": for each word of the target one number for each of the source, sums of weights. None if
        words and pieces do not fit together.
    """
    source, target = words(text, row["source_tokens"]), words(translation, row["target_tokens"])
    if not source or not target:
        return None
    (source_parts, source_groups), (target_parts, target_groups) = source, target
    weights = [
        [sum(row["attention"][t][s] for t in written for s in read) / len(written) for read in source_groups]
        for written in target_groups
    ]
    weights = [[round(float(weight), 4) for weight in line] for line in weights]
    return {"source": source_parts, "target": target_parts, "weights": weights}


def words(text: str, tokens: list[str]) -> tuple[list, list[list[int]]] | None:
    """The parts of a text, [part, number of its word or None], and the numbers of each word's tokens."""
    groups, pieces = [], []
    is_new = True
    for number, token in enumerate(tokens):
        if token in ENDS:
            break
        piece = readable(token)
        pieces.append(piece.strip())
        if pieces[-1]:
            if is_new or piece[0].isspace():
                groups.append([])
            groups[-1].append(number)
        is_new = not piece.strip() or piece[-1].isspace()
    found = list(re.finditer(r"\S+", text))
    if not groups or len(groups) > len(found):
        return None
    parts, numbered, end = [], [], 0
    for word, group in zip(found, groups, strict=False):
        if word.start() > end:
            parts.append([text[end : word.start()], None])
        for part, members in split(word.group(), group, pieces, alone=len(found) == 1):
            parts.append([part, len(numbered)])
            numbered.append(members)
        end = word.end()
    if end < len(text):
        parts.append([text[end:], None])  # beyond what the model reads, or white space
    return parts, numbered


def split(word, group, pieces, alone) -> Iterator[tuple[str, list[int]]]:
    """(part of the word, its tokens): its pieces if its script has no spaces, or it is the only word."""
    if len(group) > 1 and (alone or UNSPACED.search(word)):
        joined = "".join(pieces[number] for number in group)
        if unicodedata.normalize("NFKC", word) == joined and len(word) == len(joined):
            start = 0
            for number in group:
                if pieces[number]:
                    yield word[start : start + len(pieces[number])], [number]
                start += len(pieces[number])
            return
    yield word, group


def readable(token: str) -> str:
    """A piece as it stands in the text; of a letter in bytes each byte reads U+FFFD."""
    if byte := BYTE.fullmatch(token):
        character = chr(int(byte[1], 16))
        return character if character.isspace() else "\ufffd"
    return token.replace(START, " ")
