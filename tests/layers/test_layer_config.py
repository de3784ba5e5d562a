"""The description of a Transformer's layer: one list of fields, whole or one by one."""

import dataclasses

import pytest

from keras_transformer import layers
from keras_transformer.layers.layer_config import FIELDS, SIZES, KerasFields, LayerConfig, LayerFields

OTHERS = {
    "num_key_value_heads": 1,
    "positions": "alibi",
    "sliding_window": 3,
    "qk_norm": "layer_norm",
    "use_bias": False,
    "activation": "geglu_tanh",
    "normalization": "rms_norm",
    "norm_first": True,
    "final_norm": False,
    "norm_epsilon": 1e-3,
    "dropout": 0.2,
    "attention_dropout": 0.3,
    "activation_dropout": 0.4,
}


def test_signatures_name_the_fields_that_there_are():
    own = {k: v for k, v in LayerFields.__annotations__.items() if k not in KerasFields.__annotations__}
    assert (*SIZES, *own) == FIELDS
    types = {field.name: field.type for field in dataclasses.fields(LayerConfig)}
    assert own == {name: types[name] for name in OTHERS}


@pytest.mark.parametrize("make", [layers.EncoderLayer, layers.DecoderLayer])
@pytest.mark.parametrize("as_stack", [False, True])
def test_fields_and_the_whole_are_the_same(make, as_stack):
    if as_stack:
        stack = {layers.EncoderLayer: layers.Encoder, layers.DecoderLayer: layers.Decoder}[make]
        make = lambda *args, **kwargs: stack(3, *args, **kwargs)  # noqa: E731
    by_fields = make(2, 5, 3, **OTHERS, name="one")
    whole = make(config=LayerConfig(num_heads=2, intermediate_dim=5, key_dim=3, **OTHERS), name="one")
    assert by_fields.config == whole.config and by_fields.get_config() == whole.get_config()
    for name, value in OTHERS.items():
        assert getattr(whole, name) == value
    with pytest.raises(ValueError, match="comes without any of its fields.*dropout"):
        make(config=whole.config, dropout=0.1)


def test_a_description_becomes_json_and_comes_back():
    config = LayerConfig(num_heads=2, intermediate_dim=5, activation="gelu", positions={"name": "rotary"})
    assert config.get_config()["activation"] == "gelu" and callable(config.activation)
    assert LayerConfig(**config.get_config()) == config
    assert not config.is_gated and LayerConfig(num_heads=2, intermediate_dim=5, activation="glu").is_gated


@pytest.mark.parametrize("stack", [layers.EncoderLayer, layers.Encoder])
def test_a_causal_encoder_needs_no_word_in_the_call(stack):
    import numpy as np

    from tests import checks

    sizes = (1, 2, 5) if stack is layers.Encoder else (2, 5)
    x = checks.numbers(2, 3, 6)
    layer = checks.built(lambda: stack(*sizes, causal=True), (x,))
    free = type(layer).from_config({**layer.get_config(), "causal": False})
    free.build(x.shape)
    free.set_weights(layer.get_weights())
    causal = checks.as_array(layer(x))
    np.testing.assert_array_equal(causal, checks.as_array(free(x, use_causal_mask=True)))
    assert np.abs(causal - checks.as_array(free(x))).max() > 1e-3
