"""What is traced inside a loop knows it; a projection there is a product that XLA does well."""

import keras
import numpy as np
import pytest

from keras_transformer.layers.loops import in_loop
from keras_transformer.layers.projection import HeadsProjection
from tests import checks

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="loops of TensorFlow's graphs"
)
D, H, K = 16, 2, 8


@pytest.mark.parametrize("compiled", [False, True])
def test_a_loop_is_known_by_who_runs_it(compiled):
    import tensorflow as tf

    seen = []

    def look():
        seen.append((in_loop(compiled=False), in_loop(compiled=True)))

    def body(i):
        look()
        return tf.cond(i > 0, lambda: look() or i + 1, lambda: i + 1)

    @tf.function(jit_compile=compiled, autograph=False)
    def run():
        look()
        return tf.while_loop(lambda i: i < 3, body, [0])

    look()
    run()
    outside, inside = (False, False), (not compiled, compiled)
    assert seen[:2] == [outside, outside] and set(seen[2:]) == {inside} and len(seen) == 4


@pytest.fixture
def projection():
    layer = HeadsProjection("abc,cde->abde", (None, H, K), bias_axes="de", bias_initializer="normal")
    return checks.built(lambda **_: layer, (np.zeros((1, 1, D), "float32"),))


def steps(layer, rows):
    """Three products of `rows` rows, each of the one before, compiled; and the compiled program."""
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def run(x):
        return tf.while_loop(
            lambda i, x: i < 3, lambda i, x: (i + 1, tf.reshape(layer(tf.sin(x)), tf.shape(x))), [0, x]
        )[1]

    x = tf.constant(checks.numbers(rows, 1, D))
    return run(x), run.experimental_get_compiler_ir(x)(stage="optimized_hlo")


@pytest.mark.parametrize("rows", [1, 3])
def test_a_projection_in_a_compiled_loop_is_the_same(projection, rows):
    x = checks.numbers(rows, 1, D)
    for _ in range(3):
        x = np.reshape(projection(np.sin(x)), x.shape)
    np.testing.assert_allclose(steps(projection, rows)[0], x, atol=1e-5)


def test_the_kernel_of_one_row_is_no_part_of_a_loop_over_values(projection):
    # XLA would put a reshape of the kernel into the product: `fusion(...), kind=kLoop` of a `dot`.
    _, program = steps(projection, 1)
    fused = [part for part in program.split("\n\n") if part.startswith("%fused") and " dot(" in part]
    names = {part.split()[0] for part in fused}
    slow = [
        line
        for line in program.splitlines()
        if "kind=kLoop" in line and any(f"calls={x}" in line for x in names)
    ]
    assert " dot(" in program and not slow
