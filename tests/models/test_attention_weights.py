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


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_weights_are_distributions(name):
    model, given = MADE[name](), inputs("ImageCaptioner" if name == "GRU captioner" else name)
    found = {view: checks.as_array(x) for view, x in model.attention_weights(given).items()}
    assert set(found) == VIEWS[name]
    for view, weights in found.items():
        assert weights.ndim == 5 and weights.shape[0] == 2
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
        if view == "decoder":
            np.testing.assert_array_equal(weights, np.tril(weights))


@pytest.mark.parametrize("name", sorted(name for name, views in VIEWS.items() if "cross" in views))
def test_one_pass_attends_to_the_source_as_the_search_did(name):
    model, given = MADE[name](), inputs("ImageCaptioner" if name == "GRU captioner" else name)
    del given["target_ids"]
    if "source_ids" in given:
        given["source_ids"][1, 2:] = 0  # padding
    search = decoding.BeamSearch(7, min_length=4)
    # With a function of one's own nothing is compiled.
    found = decoding.generate_with_attention(model, given, search, attention=model.attention)
    ids, _, expected = map(checks.as_array, found)
    ids, expected = ids[:, 0], np.moveaxis(expected[:, 0], 1, 3)  # (B, N, H, L, S)
    seen = np.concatenate([np.full_like(ids[:, :1], START_ID), ids[:, :-1]], axis=1)
    found = checks.as_array(model.attention_weights(given | {"target_ids": seen})["cross"])
    is_real = (ids != 0)[:, None, None, :, None]
    np.testing.assert_allclose(found * is_real, expected, atol=1e-6)


def test_models_without_attention_say_so():
    model = MODELS["AttentionCNN"]()
    model(inputs("AttentionCNN"))
    with pytest.raises(ValueError, match="positions attend to others. Received: a model of the class Atten"):
        model.attention_weights(inputs("AttentionCNN"))
    with pytest.raises(ValueError, match="attention='none'"):
        models.RNNSeq2Seq(13, 13, hidden_dim=6, attention="none").attention_weights(inputs("RNNSeq2Seq"))
