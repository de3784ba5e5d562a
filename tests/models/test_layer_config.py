"""What `LayerConfig` says of a model: every kind of positions, grouped queries, window, norms and gates."""

import keras
import numpy as np
import pytest

from keras_transformer import decoding, layers, models
from keras_transformer.layers.position_kinds import KINDS
from tests import checks
from tests.models import zoo_checks
from tests.models.small_transformers import INPUTS, SIZES, VOCABULARY, D, small

LENGTHS = {"learned": {"max_length": 7}}
# As many other choices as go together.
MODERN = {
    "num_heads": 4,
    "key_dim": 6,
    "num_key_value_heads": 2,
    "positions": {"name": "rotary", "layout": "halves"},
    "sliding_window": 3,
    "qk_norm": "rms_norm",
    "use_bias": False,
    "activation": "swiglu",
    "normalization": "rms_norm",
    "norm_first": True,
    "norm_epsilon": 1e-5,
}
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0}


def language_model(**kwargs):
    return models.CausalLM(VOCABULARY, **{**SIZES, **NO_DROPOUT, **kwargs})


def masked_lm(dtype=None, **kwargs):
    encoder = layers.TextEncoder(VOCABULARY, **{**SIZES, **NO_DROPOUT, **kwargs}, dtype=dtype)
    return models.MaskedLM(encoder, dtype=dtype)


def translator(**kwargs):
    return small(**{**NO_DROPOUT, "num_layers": 1, **kwargs})


MODELS = {
    "Transformer": (translator, INPUTS),
    "CausalLM": (language_model, {"target_ids": INPUTS["target_ids"]}),
    "TextEncoder": (masked_lm, {"token_ids": INPUTS["target_ids"]}),
}


# Encoder and decoder in one model; language models and encoders alone have the same layers.
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", [name if name == "Transformer" else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_every_kind_of_positions_is_saved_and_decodes_step_by_step(name, kind, tmp_path):
    build, inputs = MODELS[name]
    # An even width of heads, for rotary ones.
    model = build(key_dim=4, positions=kind, **LENGTHS.get(kind, {}))
    is_saved_and_decodes(model, inputs, tmp_path)
    paths = [weight.path for weight in model.weights]
    assert len(set(paths)) == len(paths)


def is_saved_and_decodes(model, inputs, tmp_path):
    checks.file_round_trip(lambda: model, (inputs,), tmp_path)
    config = model.get_config()
    assert type(model).from_config(config).get_config() == config
    if "token_ids" not in inputs:
        zoo_checks.step_by_step_equals_one_pass(lambda: model, inputs)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"none"}))
def test_positions_are_known(kind):
    """Two tokens that change places: without positions the others do not see it."""

    def difference(kind):
        model = checks.built(lambda: masked_lm(key_dim=4, positions=kind, **LENGTHS.get(kind, {})), (inputs,))
        return np.abs(checks.as_array(model(inputs)) - checks.as_array(model(swapped)))[:, 0].max()

    ids = np.array([[5, 6, 7, 8, 9]])
    inputs, swapped = {"token_ids": ids}, {"token_ids": ids[:, [0, 3, 2, 1, 4]]}
    assert difference(kind) > 1e-4
    assert difference("none") < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_all_other_choices_together(name, tmp_path):
    build, inputs = MODELS[name]
    is_saved_and_decodes(build(**MODERN), inputs, tmp_path)


@pytest.mark.parametrize(
    "options",
    [pytest.param(MODERN, marks=pytest.mark.slow), {"positions": "relative_keys_values"}],
    ids=["modern", "shaw"],
)
def test_beams_have_the_scores_of_whole_passes(options):
    model = checks.built(lambda: translator(**options), (INPUTS,))
    source = zoo_checks.given(INPUTS)
    ids, scores = decoding.generate_n_best(model, source, decoding.BeamSearch(4, width=3, n_best=3))
    for rank in range(3):
        _, expected = decoding.score(model, source, ids[:, rank])
        np.testing.assert_allclose(checks.as_array(scores)[:, rank], checks.as_array(expected), atol=1e-3)


def test_a_search_with_relative_positions_can_be_exported():
    def make(**kwargs):
        return language_model(positions="relative_bias", num_key_value_heads=1, activation="swiglu", **kwargs)

    zoo_checks.a_search_can_be_exported(make, MODELS["CausalLM"][1])


def test_a_model_takes_the_whole_description():
    config = layers.LayerConfig(**MODERN, intermediate_dim=11)
    model = models.Transformer(13, 13, 1, D, config=config)
    model.build()
    assert model.encoder.layers[0].config is model.decoder.layers[0].config is config
    assert model.get_config() == small_config(model)
    with pytest.raises(ValueError, match="`config` must be a `layers.LayerConfig`, and comes without any"):
        models.Transformer(13, 13, 1, D, num_heads=2, config=config)
    with pytest.raises(ValueError, match="`config` must be a `layers.LayerConfig`.* Received: config=3"):
        models.CausalLM(13, 1, D, config=3)


def small_config(model):
    return models.Transformer.from_config(model.get_config()).get_config()


def test_t5s_bias_is_one_for_a_stack():
    model = translator(positions="relative_bias", num_layers=3)
    model.build()
    tables = [weight for weight in model.weights if weight.shape == (32, SIZES["num_heads"])]
    assert len(tables) == 2
    encoder, decoder = (
        {id(layer.self_attention.layer.position_bias) for layer in stack.layers}
        for stack in (model.encoder, model.decoder)
    )
    assert len(encoder) == len(decoder) == 1 and encoder != decoder
    biases = [stack.layers[0].self_attention.layer.position_bias for stack in (model.encoder, model.decoder)]
    assert [bias.bidirectional for bias in biases] == [True, False]
    language = language_model(positions="relative_bias")
    language.build()
    assert not language.decoder.layers[0].self_attention.layer.position_bias.bidirectional


def test_the_state_is_as_small_as_its_heads_of_keys_and_values():
    model = translator(num_heads=6, key_dim=2, num_key_value_heads=3)
    state = model.initial_state({"source_ids": INPUTS["source_ids"]}, 5)
    keys = [leaf.shape for leaf in keras.tree.flatten(state["target"])]
    assert set(keys) == {(3, 3, 5, 2)}
    source = [leaf.shape for leaf in keras.tree.flatten(state["source"]) if len(leaf.shape) == 4]
    assert set(source) == {(3, 3, 7, 2)}


def test_cross_attention_has_neither_positions_nor_window():
    model = translator(positions="alibi", sliding_window=2)
    model.build()
    attention = model.decoder.layers[0].cross_attention.layer
    assert attention.position_bias is attention.rotary is attention.sliding_window is None
    own = model.decoder.layers[0].self_attention.layer
    assert own.sliding_window == 2 and isinstance(own.position_bias, layers.AlibiBias)


def count(**kwargs):
    model = language_model(**kwargs)
    model.build()
    return model.count_params()


def test_parameters_of_gates_norms_and_biases():
    plain, inner = count(), SIZES["intermediate_dim"]
    assert count(activation="swiglu") - plain == D * inner + inner
    assert count(activation="geglu", use_bias=False) - count(use_bias=False) == D * inner
    assert plain - count(use_bias=False) == 4 * D + inner + D  # of four projections and two maps
    assert plain - count(normalization="rms_norm") == 3 * D  # two of the layer, the final one
    assert plain - count(num_key_value_heads=1) == 2 * (D // 2) * (D + 1)
    assert count(qk_norm="rms_norm") - plain == 2 * D // 2


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": "rotory"}, r"`positions` must be one of \['none', 'sinusoid',.*positions='rotory'"),
        ({"positions": 3}, "`positions` must be one of .*Received: positions=3"),
        ({"positions": {"layout": "halves"}}, "or a dictionary with one of them as 'name'"),
        ({"positions": {"name": "rotary", "base": 3}}, "`RotaryEmbedding` takes `max_wavelength`.*`base`"),
        ({"positions": {"name": "rotary", "layout": "x"}}, "`layout` must be one of .*layout='x'"),
        ({"positions": {"name": "alibi", "num_heads": 3}}, "and none of max_length, num_heads"),
        ({"positions": {"name": "none", "layout": "halves"}}, "'none' has no options"),
        ({"positions": "learned"}, "`max_length` must be given for learned positions.*max_length=None"),
        ({"positions": "rotary", "max_length": 7}, "`max_length` must be .*max_length=7, positions='rotary'"),
        ({"sliding_window": 0}, "`sliding_window` must be a positive integer or None.*sliding_window=0"),
        (
            {"num_key_value_heads": 3},
            "`num_heads` must be a multiple of `num_key_value_heads`. Received: num_heads=2",
        ),
        ({"qk_norm": "batch_norm"}, "`qk_norm` must be one of .*qk_norm='batch_norm'"),
        ({"normalization": None}, "`normalization` must be one of .*normalization=None"),
        ({"d_model": 3}, "`CausalLM` takes .*`num_heads`.*`positions`.* Received: `d_model`"),
    ],
)
def test_what_is_out_of_range_is_answered_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as error:
        language_model(**options)
    assert "\n" not in str(error.value)


def test_odd_heads_cannot_be_turned():
    with pytest.raises(ValueError, match="the width of a head must be even. Received: key_dim=3"):
        language_model(positions="rotary").build()
