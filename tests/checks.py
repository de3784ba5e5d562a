"""The standard checks that every layer and every model passes.

The test of a new layer takes ten lines:

    def make(**kwargs):
        return layers.EncoderLayer(num_heads=2, intermediate_dim=11, **kwargs)

    @pytest.mark.parametrize("check", checks.STANDARD)
    def test_standard_checks(check, tmp_path):
        check(make, (hidden, hidden_mask), tmp_path)

`make(**kwargs)` returns a new layer or model, `inputs` are its positional call arguments (arrays, or
dictionaries of arrays). The checks of a property (causality, padding, ...) take a function of arrays.
Each backend has its own graph and gradients: see the last section.
"""

import collections
import inspect
import json
import operator

import keras
import numpy as np
import pytest
from keras import ops, tree

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")


def numbers(*shape, seed=0):
    """Normally distributed float32 numbers, the same for the same seed."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def as_array(x):
    """A tensor of any float dtype as float32, others as they are."""
    x = ops.convert_to_numpy(x)
    return x if x.dtype == bool or np.issubdtype(x.dtype, np.integer) else x.astype("float32")


def built(make, inputs, **kwargs):
    """A layer whose every weight is random: zero biases and unit gammas would hide mistakes."""
    layer = make(**kwargs)
    layer(*tree.map_structure(ops.convert_to_tensor, inputs))
    return randomized(layer)


_shared = collections.OrderedDict()


def shared(make, inputs, **kwargs):
    """As `built`, for those who change nothing of it: the same for the same `make`, inputs and options.

    To build layers anew for each check takes a fifth of the checks' time.
    """
    if kwargs.get("dtype") == "float32":  # which all tests begin with
        kwargs.pop("dtype")
    key = (make, *sorted(kwargs.items()))
    arrays, layer = _shared.pop(key, ((), None))
    if len(arrays) != len(inputs) or any(map(operator.is_not, arrays, inputs)):
        arrays, layer = inputs, built(make, inputs, **kwargs)
    _shared[key] = (arrays, layer)
    if len(_shared) > 16:
        _shared.popitem(last=False)
    return layer


def randomized(layer, seed=1):
    """Gives every weight of a built layer random values: gammas around one, variances from one to two."""
    rng = np.random.default_rng(seed)

    def values(weight):
        if weight.path.endswith("moving_variance"):
            return rng.uniform(1.0, 2.0, weight.shape)
        return rng.normal(1.0 if weight.path.endswith("gamma") else 0.0, 0.3, weight.shape)

    layer.set_weights([values(weight) for weight in layer.weights])
    return layer


# Standard checks


def config_round_trip(make, inputs, tmp_path):
    """Constructor arguments are attributes and config; config -> JSON -> layer -> same config."""
    layer = shared(make, inputs)
    config = layer.get_config()
    for name, parameter in inspect.signature(type(layer).__init__).parameters.items():
        if name not in ("self", "config") and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            assert name in config, f"`{name}` is missing in the config"
            assert hasattr(layer, name) or name == "output_shape", f"`{name}` is no attribute"
    text = json.dumps(config, sort_keys=True)
    again = type(layer).from_config(json.loads(text))
    assert json.dumps(again.get_config(), sort_keys=True) == text
    registered_name = keras.saving.get_registered_name(type(layer))
    assert registered_name.startswith("keras_transformer>"), registered_name


def file_round_trip(make, inputs, tmp_path):
    """Saved as `.keras` and loaded without custom objects, it gives bit for bit the same."""
    layer = shared(make, inputs)
    if isinstance(layer, keras.Model):
        model, model_inputs = layer, inputs
    else:
        symbolic = tree.map_structure(symbolic_input, inputs)
        model, model_inputs = keras.Model(symbolic, layer(*symbolic)), (list(inputs),)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    for saved, restored in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(saved.numpy(), restored.numpy(), err_msg=saved.path)
    expected, actual = as_array(model(*model_inputs)), as_array(loaded(*model_inputs))
    np.testing.assert_array_equal(expected, actual)


def symbolic_input(x):
    """A Keras input like an array, with batch and length unknown."""
    return keras.Input((None, *x.shape[2:]), dtype=x.dtype.name)


def eager_equals_graph_equals_xla(make, inputs, tmp_path):
    """The same numbers in eager mode, in a graph, and compiled by XLA."""
    layer = shared(make, inputs)
    inputs = tree.map_structure(ops.convert_to_tensor, inputs)
    expected = as_array(layer(*inputs))
    for way, actual in by_graph_and_xla(lambda *inputs: layer(*inputs), *inputs).items():
        np.testing.assert_allclose(as_array(actual), expected, atol=1e-5, err_msg=way)


def dtype_policies(make, inputs, tmp_path):
    """Outputs in the compute dtype (a model's logits in float32), weights in float32, close values."""
    layer = shared(make, inputs)
    expected = as_array(layer(*inputs))
    for policy in POLICIES:
        mixed = shared(make, inputs, dtype=policy)
        for weight in mixed.weights:
            assert weight.dtype == "float32", f"{policy}: {weight.path} is {weight.dtype}"
        output = mixed(*inputs)
        wanted = "float32" if isinstance(layer, keras.Model) else mixed.compute_dtype
        assert keras.backend.standardize_dtype(output.dtype) == wanted, policy
        if wanted != mixed.compute_dtype:
            half = as_array(ops.cast(output, mixed.compute_dtype))
            assert np.mean(half == as_array(output)) < 0.5, (
                f"{policy}: cast behind a product in half precision"
            )
        error = np.abs(as_array(output) - expected) / max(1.0, np.abs(expected).max())
        # One rounding in bfloat16 is off by up to 0.004; the worst of many values met several.
        assert np.sqrt(np.mean(error**2)) < 1e-2 and error.max() < 3e-2, (policy, error.max())


def gradients(make, inputs, tmp_path):
    """Every weight has a finite gradient that is not zero, also in half precision."""
    for policy in ("float32", "mixed_float16"):
        layer = shared(make, inputs, dtype=policy)
        probe = numbers(*layer(*inputs).shape)
        found = weight_gradients(layer, inputs, probe)
        for weight, gradient in zip(layer.trainable_weights, found, strict=True):
            name = f"{policy}: {weight.path}"
            assert gradient is not None, f"{name} has no gradient"
            gradient = as_array(gradient)
            assert np.isfinite(gradient).all(), f"{name} has a gradient that is not finite"
            # Moving all keys by one vector moves each row's scores by one number: soft-max is blind.
            if not weight.path.endswith("key/bias"):
                assert np.abs(gradient).max() > 0, f"{name} has a gradient of zero"


def export_round_trip(make, inputs, others, tmp_path):
    """In a functional model, exported by Keras, loaded by TensorFlow: equal, for other sizes too.

    Sizes in which `others` differ from `inputs` are free.
    """
    if keras.backend.backend() != "tensorflow":
        pytest.skip("exported from TensorFlow")
    import tensorflow as tf

    symbolic = []
    for x, other in zip(inputs, others, strict=True):
        sizes = zip(x.shape[1:], other.shape[1:], strict=True)
        symbolic.append(keras.Input([a if a == b else None for a, b in sizes], dtype=x.dtype.name))
    model = randomized(keras.Model(symbolic, make()(*symbolic)))
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    for arrays in (list(inputs), list(others)):
        np.testing.assert_allclose(as_array(loaded.serve(arrays)), as_array(model(arrays)), atol=1e-5)


STANDARD = (
    config_round_trip,
    file_round_trip,
    eager_equals_graph_equals_xla,
    dtype_policies,
    gradients,
)


# Checks of one property. `function` maps float arrays (B, T, D) to (B, T, ...).


def influence(function, x):
    """Which inputs each output depends on, by gradients.

    One pass answers for all outputs: of T copies of the batch, copy t is asked for output t.

    Args:
        function: takes any batch size, and treats the rows of a batch one by one.
        x: (B, T, D).

    Returns:
        bool, (T, T): row t, column s is True if the gradient of output t with respect to input s is
        not exactly zero, in any row of the batch.
    """
    batch_size, length, _ = x.shape
    copies = np.tile(x, (length, 1, 1))
    shape = tuple(function(ops.convert_to_tensor(copies)).shape)
    assert shape[:2] == (length * batch_size, length)
    # A random direction: the plain sum of a normalised vector is constant.
    probe = numbers(*shape)
    asked = np.repeat(np.eye(length, dtype="float32"), batch_size, axis=0)  # (T * B, T)
    probe = ops.convert_to_tensor(probe * asked.reshape(*shape[:2], *[1] * (len(shape) - 2)))
    gradient = as_array(input_gradient(lambda x: ops.sum(function(x) * probe), copies))
    found = np.any(gradient != 0, axis=-1)  # (T * B, T)
    return found.reshape(length, batch_size, length).any(axis=1)


def causality(function, x):
    """Output t depends on inputs 0 to t, each of them, and on no later one."""
    length = x.shape[1]
    np.testing.assert_array_equal(influence(function, x), np.tril(np.ones((length, length), bool)))


def pad_invariance(function, x, mask):
    """Real rows of `function(x, mask)` do not depend on what the padding is, nor on how much."""
    expected = as_array(function(x, mask))
    loud = 1e3 * numbers(*x.shape, seed=7)
    other = np.where(mask[..., None], x, loud)
    longer = np.concatenate([other, loud[:, :2]], axis=1)
    longer_mask = np.concatenate([mask, np.zeros_like(mask[:, :2])], axis=1)
    for padded, padded_mask in ((other, mask), (longer, longer_mask)):
        actual = as_array(function(padded, padded_mask))[:, : x.shape[1]]
        np.testing.assert_allclose(actual[mask], expected[mask], atol=1e-5)


def batch_invariance(function, *inputs):
    """A row's result is the same alone, and in a batch of another order."""
    together = as_array(function(*inputs))
    backwards = as_array(function(*tree.map_structure(lambda x: x[::-1], inputs)))
    np.testing.assert_allclose(backwards[::-1], together, atol=1e-5)
    for row in range(len(together)):
        alone = function(*tree.map_structure(lambda x, row=row: x[row : row + 1], inputs))
        np.testing.assert_allclose(as_array(alone)[0], together[row], atol=1e-5)


def permutation_equivariance(function, x):
    """Permuting the input positions permutes the output positions, and does nothing else."""
    order = np.random.default_rng(3).permutation(x.shape[1])
    assert (order != np.arange(len(order))).any()
    expected = as_array(function(x))[:, order]
    np.testing.assert_allclose(as_array(function(x[:, order])), expected, atol=1e-5)


def cached_equals_uncached(expected, step, state, inputs):
    """Step after step with a state gives the rows of one full pass.

    Args:
        expected: (B, T, ...), the full pass.
        step: (input, state, index) -> (output, state).
        state: the first state: a tree of tensors, batch first, of shapes that never change.
        inputs: T inputs of `step`.
    """
    expected = as_array(expected)
    batch_size, length = expected.shape[:2]
    assert len(inputs) == length
    shapes = [tuple(leaf.shape) for leaf in tree.flatten(state)]
    assert all(shape[0] == batch_size for shape in shapes), f"batch comes first: {shapes}"
    for index, x in enumerate(inputs):
        output, state = step(ops.convert_to_tensor(x), state, ops.convert_to_tensor(index, "int32"))
        assert [tuple(leaf.shape) for leaf in tree.flatten(state)] == shapes
        actual = as_array(output).reshape(expected[:, index].shape)
        np.testing.assert_allclose(actual, expected[:, index], atol=1e-5, err_msg=f"row {index}")


# What each backend does in its own way


def compiled(function, xla=True):
    """The function as a graph, or compiled by XLA (always so on JAX). It may not lean on AutoGraph."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=xla, autograph=False)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function  # PyTorch: eager only


def by_graph_and_xla(function, *inputs):
    """{way: what the function gives as a graph, and as the same graph compiled by XLA}; traced once."""
    if keras.backend.backend() != "tensorflow":
        return {"xla": compiled(function)(*inputs)}  # JAX has no graph but XLA's
    import tensorflow as tf

    graph = tf.function(function, autograph=False).get_concrete_function(*inputs)
    return {"graph": graph(*inputs), "xla": compiled(lambda *inputs: graph(*inputs))(*inputs)}


def weight_gradients(layer, inputs, probe):
    """Gradients of sum(layer(*inputs) * probe) for each trainable weight, None where there is none."""
    inputs = tree.map_structure(ops.convert_to_tensor, inputs)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            total = ops.sum(ops.cast(layer(*inputs), "float32") * probe)
        values = [weight.value for weight in layer.trainable_weights]
        return [g if g is None else tf.convert_to_tensor(g) for g in tape.gradient(total, values)]
    if keras.backend.backend() == "jax":
        import jax

        def total(values):
            others = [variable.value for variable in layer.non_trainable_variables]
            output, _ = layer.stateless_call(values, others, *inputs)
            return ops.sum(ops.cast(output, "float32") * probe)

        return jax.jit(jax.grad(total))([weight.value for weight in layer.trainable_weights])
    total = ops.sum(ops.cast(layer(*inputs), "float32") * ops.convert_to_tensor(probe))
    layer.zero_grad()
    if layer.trainable_weights:
        total.backward()
    return [weight.value.grad for weight in layer.trainable_weights]


def input_gradient(function, x):
    """Gradient of a scalar function with respect to its input."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        x = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = function(x)
        return tape.gradient(total, x)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(jax.grad(function))(ops.convert_to_tensor(x))
    x = ops.convert_to_tensor(x).requires_grad_()
    function(x).backward()
    return x.grad
