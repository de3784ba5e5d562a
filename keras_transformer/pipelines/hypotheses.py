"""Translations of lists of texts: batches of similar length, and what is read from a decoded batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_transformer import arguments, decoding


@dataclass(frozen=True)
class Hypothesis:
    """One translation of a text.

    Attributes:
        text: the translation.
        score: its log-probability, the end token included; 0 for the empty translation of an empty text.
        source_pieces, target_pieces: what was read and written, S and T pieces, with the end; None
            unless attention was asked for.
        attention: float32 array, (layers, heads, T, S), of the pass that made the translation; or None.
    """

    text: str
    score: float
    source_pieces: list[str] | None = None
    target_pieces: list[str] | None = None
    attention: np.ndarray | None = None

    def alignment(self, layer: int | None = None, head: int | None = None) -> list[int]:
        """For each target piece the number of the source piece that it attends to most.

        Args:
            layer, head: counted from 0, negative from the end; the mean over all if None.

        Raises:
            ValueError: there is no such layer or head, or no attention was kept.
        """
        if self.attention is None:
            raise ValueError("An alignment needs the attention. Received: a hypothesis without it.")
        for name, number, size in zip(("layer", "head"), (layer, head), self.attention.shape, strict=False):
            if number is not None and not -size <= number < size:
                raise ValueError(f"`{name}` must be one of {size}. Received: {name}={number}.")
        weights = np.moveaxis(self.attention, 2, 0)  # (T, layers, heads, S)
        return np.asarray(decoding.hard_alignment(weights, layer, head)).tolist()


def batches(texts: Sequence[str | bytes], batch_size: int) -> Iterator[list[int]]:
    """Numbers of the texts of each batch, texts of similar length together, the longest first.

    The longest batch comes first so that a lack of memory shows at once.
    """
    arguments.check_sizes(batch_size=batch_size)
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def read(row: dict) -> list[Hypothesis]:
    """The hypotheses of one text.

    Args:
        row: arrays "texts" (N,) and "scores" (N,); and with attention "source_pieces" (S,), "target_pieces"
            (N, L) and "attention" (N, L, layers, heads, S).
    """
    hypotheses = []
    for number, (text, score) in enumerate(zip(row["texts"], row["scores"], strict=True)):
        details: tuple[Any, ...] = ()
        if "attention" in row:
            source, target = (
                [piece.decode("utf-8") for piece in pieces if piece]
                for pieces in (row["source_pieces"], row["target_pieces"][number])
            )
            weights = row["attention"][number, : len(target), :, :, : len(source)]
            # A copy: a view would keep the whole batch in memory.
            details = (source, target, weights.transpose(1, 2, 0, 3).copy())
        if np.isfinite(score):
            hypotheses.append(Hypothesis(text.decode("utf-8"), float(score), *details))
    return hypotheses or [Hypothesis("", float("-inf"))]
