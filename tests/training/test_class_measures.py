"""Measures of classes, beside scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from training import class_measures


def test_macro_f1_and_the_table_are_scikit_learns():
    rng = np.random.default_rng(0)
    right, found = rng.integers(4, size=(2, 50))
    found[:20] = right[:20]
    classes = ["a", "bb", "été", "d", "never seen"]
    f1, table = class_measures.measure(right, found, classes, "split:test")
    assert f1.value == pytest.approx(f1_score(right, found, average="macro"))
    np.testing.assert_array_equal(table.counts, confusion_matrix(right, found, labels=range(5)))
    head, names, *rows = str(table).splitlines()
    assert head == f"errors = {int((right != found).sum())} (of 50)  split:test"
    assert names.split() == ["right", "\\", "found", "a", "bb", "été", "d", "never", "seen"]
    assert len({len(row) for row in (names, *rows)}) == 1 and rows[1].split() == [
        "bb",
        *map(str, table.counts[1]),
    ]


def test_of_many_classes_the_most_frequent_errors_are_told():
    classes = [f"class {number}" for number in range(30)]
    right = [*range(30), 3, 3, 7]
    found = [*range(30), 5, 5, 1]
    _, table = class_measures.measure(right, found, classes, "split:test")
    assert str(table).splitlines() == [
        "errors = 3 (of 33)  split:test",
        "  right    taken for  times",
        "  class 3    class 5      2",
        "  class 7    class 1      1",
    ]
