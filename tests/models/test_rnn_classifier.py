"""The recurrent classifier: standard checks, what it looks at, and that it learns which word decides."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import losses, models
from tests import checks

V = 13
IDS = np.array([[2, 5, 6, 7, 8], [2, 9, 4, 0, 0], [2, 0, 0, 0, 0]], "int32")


def small(**kwargs):
    return models.RNNClassifier(
        **{"vocabulary_size": V, "num_classes": 3, "embedding_dim": 5, "hidden_dim": 4, **kwargs}
    )


@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, tmp_path):
    check(small, ({"token_ids": IDS},), tmp_path)


def test_more_padding_changes_nothing():
    model = checks.shared(small, ({"token_ids": IDS},))
    wider = np.pad(IDS, ((0, 0), (0, 3)))
    for function in (model, model.attention):
        found, expected = (checks.as_array(function({"token_ids": ids})) for ids in (wider, IDS))
        np.testing.assert_allclose(found[:, : expected.shape[1]], expected, atol=1e-5)


@pytest.mark.slow
def test_it_learns_to_look_at_the_word_that_decides():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    ids = rng.integers(6, V, (96, 6)).astype("int32")
    labels = rng.integers(2, size=96).astype("int32")
    places = rng.integers(6, size=96)
    ids[np.arange(96), places] = 4 + labels
    model = small(num_classes=2, embedding_dim=8, hidden_dim=8)
    model.compile(keras.optimizers.Adam(0.05), losses.SmoothedCrossEntropy(pad_id=-1), jit_compile=False)
    history = model.fit({"token_ids": ids}, labels, epochs=10, batch_size=48, verbose=0)
    assert history.history["loss"][-1] < 0.1
    weights = checks.as_array(model.attention({"token_ids": ops.convert_to_tensor(ids)}))
    assert weights[np.arange(96), places].mean() > 2 / 6
