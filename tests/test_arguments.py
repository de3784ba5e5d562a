import keras
import numpy as np
import pytest

from keras_transformer import arguments


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "2", None, float("nan"), np.int64(2)])
def test_a_size_is_a_positive_integer(value):
    with pytest.raises(ValueError, match=r"^`width` must be a positive integer. Received: width="):
        arguments.check_sizes(depth=1, width=value)
    if value is not None:
        with pytest.raises(ValueError, match="^`width` must be a positive integer or None. Received: "):
            arguments.check_optional_sizes(depth=None, width=value)


@pytest.mark.parametrize("value", [1.0, 1, -0.1, float("nan"), float("inf"), "0.1", None, True])
def test_a_rate_lies_below_one(value):
    with pytest.raises(ValueError, match=r"^`dropout` must be a number in 0 <= p < 1. Received: dropout="):
        arguments.check_rates(dropout=value)
    arguments.check_rates(dropout=0, other=0.999)


@pytest.mark.parametrize("value", [0, -1e-9, float("nan"), float("inf"), "1", None, True])
def test_a_positive_number_is_finite(value):
    with pytest.raises(ValueError, match=r"^`peak` must be a positive number. Received: peak="):
        arguments.check_positive(peak=value)
    arguments.check_positive(peak=1, floor=1e-30)


def test_a_value_that_is_known_is_read_and_one_inside_a_graph_is_not():
    assert arguments.known_value(3) == arguments.known_value(keras.ops.convert_to_tensor(3)) == 3
    assert arguments.known_value(keras.KerasTensor((), "int32")) is None


def test_a_mask_has_the_shape_of_what_it_masks():
    arguments.check_masks((2, None), mask=np.ones((2, 3)), other=None)
    arguments.check_masks((2, 3), mask=keras.KerasTensor((None, 3), "bool"))
    for shape in ((2, 4), (3, 3), (1, 3), (2,), (2, 3, 1)):
        with pytest.raises(ValueError, match=r"`mask` must have the shape .*, \(2, 3\). Received: shape="):
            arguments.check_masks((2, 3), mask=np.ones(shape))


class Base(arguments.KnownArguments, keras.layers.Layer):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def call(self, x, x_mask=None):
        return x


class Derived(Base):
    def __init__(self, depth, **kwargs):
        super().__init__(**kwargs)
        self.depth = depth


def test_an_unknown_argument_is_answered_with_the_layer_and_what_it_takes():
    layer = Derived(depth=2, width=3, name="derived", dtype="float32", trainable=False)
    with pytest.raises(ValueError, match="^`Derived` takes `depth`, `name`, .* Received: `d_model`, `heads`"):
        Derived(depth=2, width=3, heads=4, d_model=5)
    x = np.zeros((2, 3), "float32")
    layer(x, x_mask=None, training=True)
    with pytest.raises(TypeError, match="^A call of `Derived` takes `x`, `x_mask`. Received: `padding_mask`"):
        layer(x, padding_mask=x)


def test_a_call_that_takes_anything_is_left_alone():
    class Anything(Base):
        def call(self, x, **kwargs):
            return x

    Anything(3)(np.zeros((2, 3), "float32"), other=None)


def test_what_holds_vectors_is_floats_of_a_known_width():
    arguments.check_shapes(3, hidden=(2, None, 5), memory=None)
    for shape in ((2, 5), (), (2, 3, 0), (2, 3, None)):
        with pytest.raises(ValueError, match=r"`hidden` must have 3 axes, .* Received: shape=\("):
            arguments.check_shapes(3, hidden=shape)
    arguments.check_vectors((2, None, 5), hidden=np.ones((2, 3, 5), "float16"))
    for hidden in (np.ones((2, 3, 5), int), np.ones((2, 3, 4)), np.ones((2, 5))):
        with pytest.raises(ValueError, match=r"`hidden` must hold floats and have the shape \(2, None, 5\)"):
            arguments.check_vectors((2, None, 5), hidden=hidden)
