"""Measures of tagged words: accuracy, and entities as seqeval counts them."""

import pytest
from seqeval.metrics import f1_score

from training import entity_measures

RIGHT = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "O"]]
FOUND = [["B-PER", "O", "O", "B-LOC"], ["B-PER", "O"]]
TAGS = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]


def test_an_entity_counts_if_all_of_it_is_right():
    accuracy, entities = entity_measures.measure(RIGHT, FOUND, TAGS, "split:test")
    assert str(accuracy) == "accuracy = 0.6667 (4 of 6 words)  split:test"
    assert entities.value == pytest.approx(f1_score(RIGHT, FOUND)) == pytest.approx(1 / 3)
    head, names, *rows = str(entities).splitlines()
    assert head.startswith("entity F1 = 0.3333 (precision 0.3333, recall 0.3333, 3 entities)  split:test|")
    assert names.split() == ["type", "precision", "recall", "F1", "entities"]
    assert [row.split() for row in rows] == [
        ["LOC", "1.0000", "0.5000", "0.6667", "2"],
        ["PER", "0.0000", "0.0000", "0.0000", "1"],
    ]
    assert entities.types["LOC"]["recall"] == 0.5


@pytest.mark.filterwarnings("error")
def test_where_there_is_no_entity_f1_is_0():
    _, entities = entity_measures.measure([["O", "O"]], [["O", "O"]], TAGS, "split:test")
    assert entities.value == 0 and entities.types == {}


def test_tags_that_mark_no_entities_are_classes():
    right, found = [["NN", "VB"], ["NN"]], [["NN", "NN"], ["NN"]]
    accuracy, f1, errors = entity_measures.measure(right, found, ["NN", "VB"], "split:test")
    assert (accuracy.value, f1.name, errors.value) == (pytest.approx(2 / 3), "macro F1", 1)
    for tags, is_of_entities in ((["O", "S-A", "E-A"], True), (["O"], False), (["O", "A"], False)):
        assert entity_measures.mark_entities(tags) == is_of_entities
