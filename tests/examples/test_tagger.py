"""examples.tagger: its sentences, its baseline, its masks; that it learns (slow)."""

import random

import numpy as np
import pytest

from examples import tagger
from examples.tagger import CALLED, IDS, NAMES, OTHER, PERSON, PLACE, SAID


def test_a_name_has_the_tag_that_its_clause_tells():
    draw = random.Random(0)
    for _ in range(300):
        pairs = tagger.clause(draw)
        text = " ".join(word for word, _ in pairs)
        tags = [tag for word, tag in pairs if word in NAMES]
        assert any(text.endswith(said) for said in SAID[tags[0]])
        if len(tags) == 2:
            assert any(f", unlike {called} " in text for called in CALLED[tags[1]])
        assert all(tag == OTHER for word, tag in pairs if word not in NAMES)


def test_ids_and_tags_end_at_the_same_word_and_a_seed_repeats_them():
    ids, tags = tagger.generated(40, seed=2)
    assert ids.shape == tags.shape == (40, tagger.MAX_LENGTH)
    np.testing.assert_array_equal(ids > 0, tags > 0)
    np.testing.assert_array_equal(ids, tagger.generated(40, seed=2)[0])
    is_name = np.isin(ids, [IDS[name] for name in NAMES])
    np.testing.assert_array_equal(is_name, tags > OTHER)
    assert {PERSON, PLACE} == set(tags[is_name])


def test_the_baseline_is_the_most_frequent_tag():
    ids, tags = np.array([[3, 3, 3, 4, 0]]), np.array([[PLACE, PERSON, PLACE, OTHER, 0]])
    frequent = tagger.most_frequent_tags(ids, tags)
    assert frequent[[3, 4]].tolist() == [PLACE, OTHER]


def test_padding_does_not_change_the_tags():
    model = tagger.Tagger(hidden_dim=8, num_heads=2)
    ids, _ = tagger.generated(5, seed=0)
    more = np.pad(ids, [(0, 0), (0, 3)])
    is_word = ids > 0
    expected, found = np.array(model(ids)), np.array(model(more))[:, : ids.shape[1]]
    np.testing.assert_allclose(found[is_word], expected[is_word], atol=1e-5)


@pytest.mark.slow
def test_the_model_learns_what_the_word_itself_does_not_tell(capsys):
    accuracy, baseline = tagger.main()
    assert accuracy > 0.95 and baseline < 0.6
    assert f"names: {accuracy:.1%} right" in capsys.readouterr().out
