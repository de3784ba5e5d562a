"""A text as sentences, each of which a model translates, and what stands between them.

Lines stay lines: white space and line ends between sentences are copied. Sentences are found by sentencex,
which knows abbreviations and full stops of some three hundred languages.
"""

import dataclasses
import re
from typing import Self

import sentencex

# Scripts that put no space between sentences: Chinese, Japanese.
UNSPACED = re.compile(r"[\u2e80-\u303f\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]$")
EDGES = re.compile(r"(\s*)(.*?)(\s*)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Sentences:
    """A text in parts: `before`, and then each of `texts` and what follows it, of `gaps`."""

    before: str
    texts: list[str]
    gaps: list[str]

    @classmethod
    def read(cls, text: str, language: str = "en") -> Self:
        """Of a text; the language may be one that is not known."""
        before, texts, gaps = "", [], []
        for line in text.splitlines(keepends=True):
            for piece in sentencex.segment(language, line):
                lead, sentence, tail = EDGES.fullmatch(piece).groups()
                if texts:
                    gaps[-1] += lead
                else:
                    before += lead
                if sentence:
                    texts.append(sentence)
                    gaps.append(tail)
                elif texts:
                    gaps[-1] += tail
                else:
                    before += tail
        return cls(before, texts, gaps)

    def gap(self, place: int, translation: str) -> str:
        """What follows a translation: where its source has no space, the target may need one."""
        gap = self.gaps[place]
        needs_space = not gap and place + 1 < len(self.texts) and not UNSPACED.search(translation)
        return " " if needs_space else gap

    def joined(self, translations: list[str]) -> str:
        """The text of the translations."""
        parts = (f"{text}{self.gap(place, text)}" for place, text in enumerate(translations))
        return self.before + "".join(parts)
