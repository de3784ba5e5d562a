"""Hidden tokens: shares, what is never touched, and exact repetition."""

import keras
import numpy as np
import pytest

from keras_transformer.token_masking import masked_tokens
from tests import checks

VOCABULARY = 29  # the last id, 28, is the mask
IDS = np.random.default_rng(0).integers(4, 28, (200, 251)).astype("int32")
IDS[:, 0], IDS[:, 230], IDS[:, 231:], IDS[:, 7] = 2, 3, 0, 1


def masked(ids=IDS, **kwargs):
    return [checks.as_array(x) for x in masked_tokens(ids, VOCABULARY, **{"seed": 5, **kwargs})]


def test_labels_are_the_hidden_tokens_and_nothing_else_changes():
    ids, labels = masked()
    assert ids.shape == labels.shape == IDS.shape and ids.dtype == labels.dtype == np.int32
    hidden = labels != 0
    np.testing.assert_array_equal(labels[hidden], IDS[hidden])
    np.testing.assert_array_equal(ids[~hidden], IDS[~hidden])


def test_special_ids_are_neither_hidden_nor_put_in():
    ids, labels = masked(rate=1.0)
    special = IDS < 4
    np.testing.assert_array_equal(labels != 0, ~special)
    np.testing.assert_array_equal(ids[special], IDS[special])
    assert ids[~special].min() >= 4 and ids.max() == 28


def test_fifteen_percent_are_hidden_in_the_papers_shares():
    ids, labels = masked()
    ordinary = IDS >= 4
    count = ordinary.sum()
    assert (labels != 0).sum() / count == pytest.approx(0.15, abs=4 * np.sqrt(0.15 * 0.85 / count))
    hidden = labels != 0
    changed = hidden & (ids != 28) & (ids != IDS)
    # A random token is the token itself once in 24 times.
    expected = {"mask": 0.8, "random": 0.1 * 23 / 24, "same": 0.1 + 0.1 / 24}
    found = {"mask": ids[hidden] == 28, "random": changed[hidden], "same": (ids == IDS)[hidden]}
    for name, share in expected.items():
        error = 4 * np.sqrt(share * (1 - share) / hidden.sum())
        assert found[name].mean() == pytest.approx(share, abs=error), name


def test_random_tokens_are_all_ordinary_ones_alike():
    ids, labels = masked(rate=1.0)
    drawn = ids[(labels != 0) & (ids != 28) & (ids != IDS)]
    counts = np.bincount(drawn, minlength=29)[4:28]
    mean = counts.mean()
    assert (np.abs(counts - mean) < 5 * np.sqrt(mean)).all()


def test_a_number_repeats_the_draw_and_a_generator_goes_on():
    np.testing.assert_array_equal(masked()[0], masked()[0])
    assert (masked()[0] != masked(seed=6)[0]).any()
    generator = keras.random.SeedGenerator(5)
    first, second = masked(seed=generator)[0], masked(seed=generator)[0]
    assert (first != second).any()
    np.testing.assert_array_equal(masked(seed=keras.random.SeedGenerator(5))[0], first)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the draw is the backend's")
def test_draw_of_a_seed():
    ids, labels = masked_tokens(np.arange(4, 16).reshape(2, 6), VOCABULARY, rate=0.5, seed=3)
    # 15, the last, is hidden too: it is one of those that stay.
    assert checks.as_array(ids).tolist() == [[28, 5, 6, 7, 28, 28], [28, 28, 12, 13, 14, 15]]
    assert checks.as_array(labels).tolist() == [[4, 0, 0, 0, 8, 9], [10, 11, 0, 0, 0, 15]]


def test_graph_draws_the_same():
    # XLA has a generator of its own: no two draws there and here are the same.
    function = checks.compiled(lambda ids: masked_tokens(ids, VOCABULARY, seed=5), xla=False)
    ids, labels = function(keras.ops.convert_to_tensor(IDS))
    np.testing.assert_array_equal(checks.as_array(ids), masked()[0])
    np.testing.assert_array_equal(checks.as_array(labels), masked()[1])


def test_bad_arguments_are_refused():
    for rate in (0, 1.5):
        with pytest.raises(ValueError, match=f"`rate` must lie in 0 < rate <= 1.*rate={rate}"):
            masked_tokens(IDS, VOCABULARY, rate=rate)
    with pytest.raises(ValueError, match="ordinary token.*vocabulary_size=5"):
        masked_tokens(IDS, 5)
    with pytest.raises(ValueError, match="must leave the mask.*vocabulary_size=29, mask_id=29"):
        masked(mask_id=29)


def test_another_vocabulary_has_its_own_mask_and_special_ids():
    ids, labels = masked(rate=1.0, mask_id=7, special_ids=(0, 1, 2, 3, 9))
    special = np.isin(IDS, (0, 1, 2, 3, 7, 9))
    np.testing.assert_array_equal(labels != 0, ~special)
    np.testing.assert_array_equal(ids[special], IDS[special])
    assert (ids[~special] == 7).mean() > 0.75 and 9 not in ids[~special]
    assert 28 in ids[~special]  # an ordinary one here
