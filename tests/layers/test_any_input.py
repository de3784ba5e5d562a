"""Any size in each axis and any dtype: a right answer, or an error in words of this library or of Keras."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import checks
from tests.layers.every_layer import IDS, LAYERS, integer

SIZES = st.sampled_from([0, 1, 2, 7])
DTYPES = st.sampled_from(["float32", "float16", "float64", "bfloat16", "int32", "uint8", "bool", "complex64"])


@st.composite
def calls(draw):
    """A layer's name, and inputs whose sizes agree, or (one in three) need not."""
    name = draw(st.sampled_from(sorted(LAYERS)))
    shapes = LAYERS[name][1](*(draw(SIZES) for _ in range(4)))
    if draw(st.sampled_from([False, False, True])):
        shapes = [tuple(draw(SIZES) for _ in range(draw(st.integers(0, 4)))) for _ in shapes]
    dtype = draw(
        DTYPES if name not in IDS else st.sampled_from(["int32", "int64", "uint8", "float32", "float16"])
    )
    return name, shapes, dtype


def array(shape, dtype):
    values = np.random.default_rng(0).integers(0, 11, shape)
    if dtype == "bfloat16":
        return keras.ops.cast(values, dtype)
    return values.astype(dtype)


def check(name, shapes, dtype):
    layer = LAYERS[name][0]()
    # Beside integers, floats.
    kept = [name not in IDS or integer(name, index) for index in range(len(shapes))]
    arrays = [array(shape, dtype if keep else "float32") for shape, keep in zip(shapes, kept, strict=True)]
    try:
        output = layer(*arrays)
    except (TypeError, ValueError) as error:
        text = str(error)
        assert "Received" in text or "received" in text or "found" in text, text
        return False
    symbolic = [keras.KerasTensor(x.shape, "float32") for x in arrays]
    assert layer.compute_output_spec(*symbolic).shape == tuple(output.shape), (name, shapes, dtype)
    assert np.isfinite(checks.as_array(output)).all(), (name, shapes, dtype)
    return True


@settings(max_examples=15, deadline=None, derandomize=True)
@given(calls())
def test_any_sizes_and_dtypes(call):
    check(*call)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, database=None)
@given(calls())
def test_many_sizes_and_dtypes(call):
    check(*call)
