"""All attention weights of one pass: those that a search sees step by step, and that sum to 1."""

import numpy as np
import pytest

from keras_transformer import decoding, models
from keras_transformer.special_ids import START_ID
from tests import checks
from tests.models.every_model import HEADS, MODELS, SIZES, inputs

# Beside the models of the table.
MADE = MODELS | {
    "ImageCaptioner": lambda: models.ImageCaptioner(
        13, "transformer", filters=(3, 4), channels=1, **SIZES, **HEADS
    ),
    "GRU captioner": MODELS["ImageCaptioner"],
}
VIEWS = {
    "CausalLM": {"decoder"},
    "ConvSeq2Seq": {"cross"},
    "GRU captioner": {"cross"},
    "ImageCaptioner": {"decoder", "cross"},
    "MaskedLM": {"encoder"},
    "RNNClassifier": {"pooling"},
    "RNNSeq2Seq": {"cross"},
    "SentenceEncoder": {"encoder"},
    "SequenceClassifier": {"encoder"},
    "TokenClassifier": {"encoder"},
    "Transformer": {"encoder", "decoder", "cross"},
    "VisionTransformer": {"encoder"},
}


# Made of the same parts as those of the usual run.
SLOW = {"ConvSeq2Seq", "GRU captioner", "ImageCaptioner"}
SLOW |= {"SentenceEncoder", "SequenceClassifier", "TokenClassifier"}


def each(names):
    marked = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in sorted(names)]
    return pytest.mark.parametrize("name", marked)


def weights_of(model, name, given):
    """The views as arrays, of which each row is a distribution, and none looks ahead."""
    found = {view: checks.as_array(x) for view, x in model.attention_weights(given).items()}
    assert set(found) == VIEWS[name]
    for view, weights in found.items():
        assert weights.ndim == 5 and weights.shape[0] == 2
        np.testing.assert_allclose(weights[0].sum(axis=-1), 1, atol=1e-5)  # the other may have padding
        if view == "decoder":
            np.testing.assert_array_equal(weights, np.tril(weights))
    return found


@each(name for name, views in VIEWS.items() if "cross" not in views)
def test_weights_are_distributions(name):
    weights_of(MADE[name](), name, inputs(name))


@each(name for name, views in VIEWS.items() if "cross" in views)
def test_one_pass_attends_to_the_source_as_the_search_did(name):
    model, given = MADE[name](), inputs("ImageCaptioner" if name == "GRU captioner" else name)
    del given["target_ids"]
    if name not in ("ImageCaptioner", "GRU captioner"):
        given["source_ids"][1, 2:] = 0  # padding
    search = decoding.Greedy(4, min_length=4)
    # With a function of one's own nothing is compiled.
    found = decoding.generate_with_attention(model, given, search, attention=model.attention)
    ids, _, expected = map(checks.as_array, found)
    ids, expected = ids[:, 0], np.moveaxis(expected[:, 0], 1, 3)  # (B, N, H, L, S)
    seen = np.concatenate([np.full_like(ids[:, :1], START_ID), ids[:, :-1]], axis=1)
    found = weights_of(model, name, given | {"target_ids": seen})
    np.testing.assert_allclose(found["cross"], expected, atol=1e-6)
