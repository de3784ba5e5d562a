"""examples.sequence_classifier: its sentences, its baseline, its masks; that it learns (slow)."""

import random

import numpy as np
import pytest

from examples import sequence_classifier
from examples.sequence_classifier import NOUNS, VERBS


def agrees(words):
    """Whether the verb has the number of the first noun, which is the subject."""
    nouns = {*NOUNS, *(f"{noun}s" for noun in NOUNS)}
    subject = next(word for word in words if word in nouns)
    return any(word == pair[subject.endswith("s")] for word in words for pair in VERBS)


@pytest.mark.parametrize("is_grammatical", [True, False])
def test_the_verb_agrees_with_the_subject_in_grammatical_sentences_only(is_grammatical):
    draw = random.Random(0)
    for _ in range(300):
        assert agrees(sequence_classifier.sentence(draw, is_grammatical)) == is_grammatical


def test_half_of_the_sentences_are_grammatical_and_a_seed_repeats_them():
    sentences, labels = sequence_classifier.labelled(50, seed=3)
    assert [agrees(words) for words in sentences] == labels.astype(bool).tolist() and labels.sum() == 25
    assert sentences == sequence_classifier.labelled(50, seed=3)[0]
    assert sentences != sequence_classifier.labelled(50, seed=4)[0]


@pytest.mark.parametrize(
    "words, expected",
    [
        ("the key near the doors are lost", True),
        ("the key near the doors is lost", False),
        ("the keys near the big door is often lost", True),
    ],
)
def test_the_baseline_looks_at_the_last_noun(words, expected):
    assert sequence_classifier.agrees_with_the_nearest_noun(words.split()) == expected


def test_padding_does_not_change_the_logits():
    model = sequence_classifier.classifier(hidden_dim=8, num_heads=2)
    ids = sequence_classifier.padded(sequence_classifier.labelled(5, seed=0)[0])
    more = np.pad(ids, [(0, 0), (0, 3)])
    np.testing.assert_allclose(model(ids), model(more), atol=1e-5)


@pytest.mark.slow
def test_the_model_learns_what_the_nearest_noun_does_not_tell(capsys):
    accuracy, baseline = sequence_classifier.main()
    assert accuracy > 0.9 and 0.45 < baseline < 0.55
    assert f"1,000 other sentences: {accuracy:.1%} right" in capsys.readouterr().out
