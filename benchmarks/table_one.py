"""The layers of Vaswani et al. 2017, table 1, and what can be counted or measured of them.

`benchmarks.sequence_layers` prints it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.train_memory import resident
from command_line import quiet

with quiet.start_up():
    import keras
    import numpy as np
    import tensorflow as tf
    from keras import ops

    from keras_transformer import layers, masks

HEADS, KERNEL, WINDOW = 4, 3, 8
PRODUCTS = {"MatMul", "BatchMatMulV2", "Conv2D"}


@dataclass(frozen=True)
class Kind:
    """A row of Table 1; k = KERNEL, r = 2 WINDOW + 1 positions that are seen.

    Args:
        complexity, sequential, path: what the table says; r n d counts no projections.
        products: multiply-adds of our layer for n and d, projections included.
    """

    complexity: str
    sequential: str
    path: str
    products: Callable[[int, int], int]


def attention_products(n, d):
    """Four projections, scores and weighted sums."""
    return 4 * n * d**2 + 2 * n**2 * d


KINDS = {
    "self-attention": Kind("n^2 d", "1", "1", attention_products),
    "recurrent": Kind("n d^2", "n", "n", lambda n, d: 6 * n * d**2),
    "convolutional": Kind("k n d^2", "1", "n / k", lambda n, d: KERNEL * n * d**2),
    "restricted, by a mask": Kind("r n d", "1", "n / r", attention_products),
}
DILATED = "convolutional, dilated"  # costs what the other one costs


def layer_of(name, width, depth=0, unroll=False):
    """A function (B, n, d) -> (B, n, d).

    Args:
        name: of `KINDS`, or `DILATED`.
        width: d.
        depth: number of layers below this one; a dilated convolution's steps are k^depth wide.
        unroll: whether a recurrence becomes a graph without a loop.
    """
    if name == "recurrent":
        return keras.layers.GRU(width, return_sequences=True, unroll=unroll)
    if name in ("convolutional", DILATED):
        dilation = KERNEL**depth if name == DILATED else 1
        # Causal, so that k positions to the left are the longest way, as in the table.
        return keras.layers.Conv1D(width, KERNEL, padding="causal", dilation_rate=dilation)
    attention = layers.MultiHeadAttention(HEADS, width // HEADS)
    if name == "self-attention":
        return attention
    return lambda x: attention(x, attention_mask=masks.local_mask(ops.shape(x)[1], WINDOW))


def longest_chain(name, length):
    """Number of matrix products one after the other, each of which needs the one before."""
    layer = layer_of(name, HEADS, unroll=True)
    layer(np.zeros((1, length, HEADS), "float32"))
    graph = tf.function(layer, autograph=False).get_concrete_function(tf.TensorSpec((1, length, HEADS))).graph
    chain = {}
    for operation in graph.get_operations():  # in the order of their making: inputs first
        before = max((chain[tensor.op] for tensor in operation.inputs), default=0)
        chain[operation] = before + (operation.type in PRODUCTS)
    return max(chain.values())


def path_length(name, length):
    """Layers, or steps of a recurrence, until the last position depends on the first one's input."""
    reached = np.eye(length, dtype=bool)[0]  # the first position's input has reached itself
    depth = 0
    while not reached[-1]:
        if depth == 0 or name == DILATED:  # else all layers are alike
            pattern = depends_on(name, length, depth)
        reached = pattern @ reached
        depth += 1
    return depth


def depends_on(name, length, depth):
    """Which output depends on which input of one layer: bool, (n, n), outputs in rows."""
    function = step_of_recurrence() if name == "recurrent" else layer_of(name, HEADS, depth)
    keras.utils.set_random_seed(0)
    # One copy of the sequence for each output: one backward pass gives all gradients.
    x = ops.tile(keras.random.normal((1, length, HEADS)), (length, 1, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = ops.einsum("ttd->", function(x))
    return np.any(tape.gradient(outputs, x) != 0, axis=-1)


def step_of_recurrence():
    """All steps h_t = GRU(x_t, h_(t-1)) at once, each from what is there: x and h are the same here."""
    cell = keras.layers.GRUCell(HEADS)

    def step(hidden):
        before = ops.pad(hidden[:, :-1], [[0, 0], [1, 0], [0, 0]])
        rows = (-1, hidden.shape[-1])
        output, _ = cell(ops.reshape(hidden, rows), [ops.reshape(before, rows)])
        return ops.reshape(output, hidden.shape)

    return step


def cost(name, length, width, batch_size, repeats):
    """Seconds and MiB of a forward pass in this process, which should do nothing else."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    layer = layer_of(name, width)
    # One graph for all lengths: a short call makes everything but the arrays.
    function = tf.function(layer, [tf.TensorSpec((None, None, width))], autograph=False)
    function(tf.zeros((batch_size, 2, width)))
    x = tf.random.stateless_normal((batch_size, length, width), (0, 0))
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    before = resident()["VmRSS"]
    function(x)
    memory = (resident()["VmHWM"] - before) / 1024
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        function(x).numpy()
        seconds.append(time.process_time() - start)
    return min(seconds), memory
