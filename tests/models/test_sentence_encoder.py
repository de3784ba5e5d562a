"""Vectors of texts: each pooling by hand, padding, the standard checks."""

import numpy as np
import pytest

from keras_transformer import layers, models
from tests import checks

IDS = np.array([[2, 11, 4, 9, 3], [2, 7, 3, 0, 0], [2, 5, 8, 3, 0]], "int32")
INPUTS = {"token_ids": IDS}


def sentence_encoder(dtype=None, pooling="mean", normalize=True):
    encoder = layers.TextEncoder(
        13, 1, 6, 2, 11, max_length=7, norm_epsilon=1e-12, embedding_scale=1.0, dtype=dtype
    )
    return models.SentenceEncoder(encoder, pooling, normalize, dtype=dtype)


@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, tmp_path):
    check(sentence_encoder, (INPUTS,), tmp_path)


@pytest.mark.parametrize("pooling", ["mean", "first", "max"])
def test_real_tokens_are_pooled(pooling):
    model = checks.shared(sentence_encoder, (INPUTS,), pooling=pooling, normalize=False)
    hidden = checks.as_array(model.encode(INPUTS)).astype("float64")
    rows = [row[ids != 0] for row, ids in zip(hidden, IDS, strict=True)]
    by_hand = {
        "mean": lambda row: row.mean(axis=0),
        "first": lambda row: row[0],
        "max": lambda row: row.max(axis=0),
    }
    expected = np.array([by_hand[pooling](row) for row in rows])
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), expected, atol=1e-5)
    longer = {"token_ids": np.pad(IDS, [(0, 0), (0, 2)])}
    np.testing.assert_allclose(checks.as_array(model(longer)), expected, atol=1e-5)
    model.normalize = True
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), expected / lengths, atol=1e-5)
    assert np.isfinite(checks.as_array(model({"token_ids": np.zeros((1, 3), "int32")}))).all()


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match=r"`pooling` must be one of \['mean', 'first', 'max'\].*'median'"):
        sentence_encoder(pooling="median")
