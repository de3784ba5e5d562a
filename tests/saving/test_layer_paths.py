"""Names of the layers inside a model: each has its own, and together they hold every weight once."""

import keras
import pytest

from keras_transformer import layers, models
from keras_transformer.saving.layer_paths import layer_paths, weight_paths

SIZES = dict(num_layers=2, hidden_dim=6, num_heads=2, intermediate_dim=7)


def make(**options):
    model = models.Transformer(11, 11, **SIZES, **options)
    model.build()
    return model


@pytest.mark.parametrize("options", [{}, {"share_embeddings": True}, {"norm_first": True, "max_length": 5}])
def test_every_weight_has_one_name_and_every_name_one_weight(options):
    model = make(**options)
    paths = weight_paths(model)
    assert sorted(map(id, paths.values())) == sorted(map(id, model.weights))


def test_names_lead_from_the_model_down():
    model = make()
    found = layer_paths(model)
    assert found["encoder"] is model.encoder
    first = "decoder/layer_0"
    names = list(found)
    assert names.index("decoder") < names.index(first) < names.index(f"{first}/self_attention")
    own, cross = (found[f"{first}/{kind}_attention/attention"] for kind in ("self", "cross"))
    assert own is not cross and own.path != cross.path
    assert f"{first}/cross_attention/attention/query/kernel" in weight_paths(model)
    assert "dropout" not in " ".join(names)  # has no weights


def test_a_shared_embedding_is_there_once():
    assert {"source_embedding", "target_embedding"} <= set(layer_paths(make()))
    assert "source_embedding" not in layer_paths(make(share_embeddings=True))


def test_a_layer_in_two_places_has_the_name_of_the_first():
    shared = keras.layers.Dense(3, name="shared")
    inputs = keras.Input((3,))
    first, second = (keras.Sequential([keras.Input((3,)), shared], name=name) for name in ("first", "second"))
    model = keras.Model(inputs, second(first(inputs)))
    assert list(layer_paths(model)) == ["first", "first/shared", "second"]
    assert len(weight_paths(model)) == 2


def test_a_models_own_weights_are_there_under_their_names():
    encoder = layers.TextEncoder(11, **SIZES, max_length=5, name="encoder")
    model = models.MaskedLM(encoder)
    model.build()
    paths = weight_paths(model)
    assert paths["bias"] is model.bias
    assert sorted(map(id, paths.values())) == sorted(map(id, model.weights))
