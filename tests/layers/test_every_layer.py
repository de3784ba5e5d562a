"""What every public layer does in somebody else's Keras model."""

import copy
import inspect

import keras
import numpy as np
import pytest

from keras_transformer import layers
from tests import checks
from tests.layers.every_layer import LAYERS, bad_configs, drawn, integer

every = pytest.mark.parametrize("name", sorted(LAYERS))


def symbolic(name, shapes):
    return [
        keras.KerasTensor(shape, dtype="int32" if integer(name, index) else "float32")
        for index, shape in enumerate(shapes)
    ]


def test_the_table_holds_every_public_layer():
    classes = {
        name: getattr(layers, name) for name in layers.__all__ if inspect.isclass(getattr(layers, name))
    }
    public = {name for name, found in classes.items() if issubclass(found, keras.layers.Layer)}
    assert set(LAYERS) == public


@every
def test_the_output_is_known_before_the_weights_are(name):
    make, shapes = LAYERS[name]
    for policy in ("float32", "mixed_float16"):
        layer = make(dtype=policy)
        free = layer.compute_output_spec(*symbolic(name, shapes(None, None, None, 6)))
        known = layer.compute_output_spec(*symbolic(name, shapes(2, 3, 5, 6)))
        assert not layer.built and not layer.weights
        output = layer(*drawn(name, shapes(2, 3, 5, 6)))
        assert known.shape == tuple(output.shape)
        assert len(free.shape) == len(known.shape)
        assert all(a in (None, b) for a, b in zip(free.shape, known.shape, strict=True))
        assert known.dtype == free.dtype == keras.backend.standardize_dtype(output.dtype)


@every
def test_every_weight_has_a_path_of_its_own(name):
    make, shapes = LAYERS[name]
    layer = make()
    layer(*drawn(name, shapes(2, 3, 5, 6)))
    paths = [weight.path for weight in layer.weights]
    assert len(set(paths)) == len(paths)


# Most of the others are in models that tests/models/test_every_model.py exports.
EXPORTED = ("MultiHeadAttention", "GroupedQueryAttention", "EncoderLayer", "DecoderLayer", "TokenEmbedding")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in EXPORTED else [pytest.mark.slow]) for name in LAYERS]
)
def test_an_export_takes_other_rows_and_lengths(name, tmp_path):
    make, shapes = LAYERS[name]
    checks.export_round_trip(make, drawn(name, shapes(2, 3, 5, 6)), drawn(name, shapes(3, 4, 2, 6)), tmp_path)


@every
def test_a_layer_made_from_a_config_leaves_the_config_as_it_is(name):
    layer = LAYERS[name][0]()
    config = layer.get_config()
    before = copy.deepcopy(config)
    type(layer).from_config(config)
    assert config == before


ONE_INPUT = [name for name in sorted(LAYERS) if len(LAYERS[name][1](2, 3, 5, 6)) == 1]


@pytest.mark.parametrize("name", ONE_INPUT)
def test_a_layer_can_be_applied_to_each_step_of_a_sequence(name):
    make, shapes = LAYERS[name]
    (shape,) = shapes(2 * 3, 4, 5, 6)
    (x,) = drawn(name, [shape])
    layer = make()
    inputs = keras.Input((3, *shape[1:]), dtype=x.dtype.name)
    model = keras.Model(inputs, keras.layers.TimeDistributed(layer)(inputs))
    output = checks.as_array(model(x.reshape(2, 3, *shape[1:])))
    expected = checks.as_array(layer(x))
    np.testing.assert_allclose(output.reshape(expected.shape), expected, atol=1e-5)


@every
def test_an_unknown_argument_is_answered_with_the_layer_and_its_arguments(name):
    make, shapes = LAYERS[name]
    if name == "MultiHeadAttention":
        pytest.skip("Keras's own words")
    with pytest.raises((TypeError, ValueError), match=f"`{name}` takes .* Received: `d_model`"):
        make(d_model=3)
    with pytest.raises(TypeError, match=f"A call of `{name}` takes .* Received: `padding_mask`"):
        make()(*drawn(name, shapes(2, 3, 5, 6)), padding_mask=np.ones((2, 3), bool))


@every
def test_arguments_out_of_range_are_refused_by_name(name):
    layer = LAYERS[name][0]()
    for argument, config in bad_configs(layer.get_config()):
        # Keras's `from_config` makes it a TypeError, with the message in it.
        with pytest.raises((TypeError, ValueError), match=f"`{argument}`.* [Rr]eceived: {argument}="):
            type(layer).from_config(config)
