"""How well words were tagged: accuracy, and precision, recall and F1 of whole entities by seqeval."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from keras_transformer.quality import Measured
from training import class_measures

# Tags of which seqeval makes entities: first word, inside, end, single; or outside.
OF_ENTITIES = re.compile("O|[BIES]-.+")
COLUMNS = ("precision", "recall", "F1", "entities")


@dataclass(frozen=True, kw_only=True)
class EntityF1(class_measures.Table):
    """F1 of the entities of all types together, and each type's own figures.

    Attributes:
        types: {type: {"precision", "recall", "F1", "entities"}}; the last is how many there are.
    """

    types: dict[str, dict]

    @property
    def rows(self) -> list[list[str]]:
        """A row for each type."""
        rows = [["type", *COLUMNS]]
        for name, row in self.types.items():
            *shares, number = row.values()
            rows.append([name, *(f"{share:.4f}" for share in shares), f"{number:,.0f}"])
        return rows


def mark_entities(tags: Sequence[str]) -> bool:
    """Whether tags say where entities begin and go on: B-PER, I-PER, O, ..."""
    return any(tag != "O" for tag in tags) and all(map(OF_ENTITIES.fullmatch, tags))


def measure(
    right: Sequence[Sequence[str]], found: Sequence[Sequence[str]], classes: Sequence[str], what: str
) -> list[Measured]:
    """Accuracy; of tags that mark entities their F1, of others what `class_measures` has.

    An entity counts if its type and all its words are right (Tjong Kim Sang and De Meulder 2003).

    Args:
        right, found: the tags of each sentence's words, as many in both.
        classes: all tags that were trained.
        what: was measured; becomes the signature.
    """
    pairs = [pair for both in zip(right, found, strict=True) for pair in zip(*both, strict=True)]
    num_right = sum(one == other for one, other in pairs)
    of_all = f"({num_right:,} of {len(pairs):,} words)"
    accuracy = Measured("accuracy", num_right / len(pairs), of_all, what, decimals=4)
    if mark_entities(classes):
        return [accuracy, entity_f1(right, found, what)]
    numbers = {name: number for number, name in enumerate(classes)}
    both = np.array([[numbers[name] for name in pair] for pair in pairs])
    return [accuracy, *class_measures.measure(both[:, 0], both[:, 1], classes, what)]


def entity_f1(right: Sequence[Sequence[str]], found: Sequence[Sequence[str]], what: str) -> EntityF1:
    """F1 of entities, as `measure` has it."""
    # Here: with scikit-learn it takes a second.
    from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support

    def figures(average):
        found_of_all = precision_recall_fscore_support(*both, average=average, zero_division=0)
        return np.transpose(found_of_all).reshape(-1, len(COLUMNS)).tolist()

    both = [[list(tags) for tags in sentences] for sentences in (right, found)]
    names = sorted({name for sentences in both for name, *_ in get_entities(sentences)})
    types = {
        name: dict(zip(COLUMNS, row, strict=True)) for name, row in zip(names, figures(None), strict=True)
    }
    ((precision, recall, f1, number),) = figures("micro")
    details = f"(precision {precision:.4f}, recall {recall:.4f}, {number:,.0f} entities)"
    signature = f"{what}|seqeval:{version('seqeval')}|mode:default|mean:micro"
    return EntityF1("entity F1", f1, details, signature, decimals=4, types=types)
