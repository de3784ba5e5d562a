"""Macro F1 and confusion matrix of a classifier."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_transformer.quality import Measured

# Classes of a table that a screen has room for; of more, so many of the most frequent errors are told.
LARGEST_TABLE = 20


class Table(Measured):
    """A figure with a table below it."""

    @property
    def rows(self) -> list[list[str]]:
        """Rows of cells, the titles first."""
        raise NotImplementedError

    def __str__(self):
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        rows = [
            "  ".join([f"  {head:{widths[0]}}", *map(str.rjust, cells, widths[1:])])
            for head, *cells in self.rows
        ]
        return "\n".join([super().__str__(), *rows])


@dataclass(frozen=True, kw_only=True)
class Confusion(Table):
    """How often each class was taken for each; the value is the number of errors.

    Attributes:
        classes: C names.
        counts: integers, (C, C); rows are what is right, columns what was found.
    """

    classes: Sequence[str]
    counts: np.ndarray

    @property
    def rows(self) -> list[list[str]]:
        """Of many classes the most frequent errors."""
        if len(self.classes) > LARGEST_TABLE:
            wrong = self.counts * (1 - np.eye(len(self.classes), dtype=int))
            largest = np.argsort(-wrong, axis=None, kind="stable")[:LARGEST_TABLE]
            pairs = [np.unravel_index(place, wrong.shape) for place in largest]
            found = [
                [self.classes[right], self.classes[found], f"{wrong[right, found]:,}"]
                for right, found in pairs
                if wrong[right, found]
            ]
            return [["right", "taken for", "times"], *found]
        rows = [[name, *map(str, row)] for name, row in zip(self.classes, self.counts, strict=True)]
        return [["right \\ found", *self.classes], *rows]


def measure(right: Sequence[int], found: Sequence[int], classes: Sequence[str], what: str) -> list[Measured]:
    """Macro F1 and the confusion matrix of what was classified.

    F1 of a class is 2 TP / (2 TP + FP + FN), the macro F1 its mean over the classes that are right or found
    at least once, as in scikit-learn.

    Args:
        right, found: numbers of classes, N each.
        classes: names of the C classes.
        what: was measured; becomes the signature.
    """
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (np.asarray(right), np.asarray(found)), 1)
    hits, sizes = counts.diagonal(), counts.sum(axis=0) + counts.sum(axis=1)
    f1 = (2 * hits / np.maximum(sizes, 1))[sizes > 0].mean()
    errors = int(counts.sum() - hits.sum())
    of_all = f"(of {counts.sum():,})"
    confusion = Confusion("errors", errors, of_all, what, decimals=0, classes=classes, counts=counts)
    return [Measured("macro F1", float(f1), "", what, decimals=4), confusion]
