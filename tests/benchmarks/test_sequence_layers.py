"""What benchmarks.sequence_layers counts: chains and paths of the layers of Table 1."""

import math

import keras
import numpy as np
import pytest

from benchmarks import sequence_layers, table_one
from benchmarks.table_one import DILATED, HEADS, KERNEL, KINDS, WINDOW

N = 23


@pytest.mark.parametrize(
    "name, expected",
    [
        ("self-attention", 1),
        ("recurrent", N - 1),
        ("convolutional", math.ceil((N - 1) / (KERNEL - 1))),
        ("restricted, by a mask", math.ceil((N - 1) / WINDOW)),
        (DILATED, math.ceil(math.log(N, KERNEL))),
    ],
)
def test_path_lengths_are_those_of_the_table(name, expected):
    assert table_one.path_length(name, N) == expected


def test_every_layer_depends_on_what_it_should_see_and_on_nothing_else():
    distance = np.arange(N)[:, None] - np.arange(N)
    seen = {
        "self-attention": distance == distance,
        "recurrent": (distance == 0) | (distance == 1),
        "convolutional": (distance >= 0) & (distance < KERNEL),
        "restricted, by a mask": abs(distance) <= WINDOW,
    }
    for name, expected in seen.items():
        np.testing.assert_array_equal(table_one.depends_on(name, N, depth=0), expected, err_msg=name)


@pytest.mark.parametrize("length", [3, 7])
def test_a_recurrence_waits_for_every_step_and_the_others_for_none(length):
    chains = {name: table_one.longest_chain(name, length) for name in KINDS}
    # Queries (or keys), scores, weighted sums, output.
    assert chains == {
        "self-attention": 4,
        "recurrent": length,
        "convolutional": 1,
        "restricted, by a mask": 4,
    }


def test_products_are_those_of_the_weights():
    """A weight matrix takes part in one multiply-add for each of its entries, at every position."""
    for name in ("self-attention", "recurrent", "convolutional"):
        layer = table_one.layer_of(name, 2 * HEADS)
        layer(keras.ops.zeros((1, N, 2 * HEADS)))
        matrices = N * sum(math.prod(weight.shape) for weight in layer.weights if "bias" not in weight.name)
        attending = 2 * N**2 * 2 * HEADS if name == "self-attention" else 0
        assert KINDS[name].products(N, 2 * HEADS) == matrices + attending


@pytest.mark.parametrize(
    "option, message",
    [
        ("--widths=[6]", "`widths` must be multiples of 4. Received: widths=[6]."),
        ("--lengths=[0]", "`lengths` must be positive. Received: lengths=[0]."),
        ("--repeats=0", "`repeats` must be positive. Received: repeats=0."),
    ],
)
def test_sizes_that_cannot_be_measured_are_refused(option, message):
    with pytest.raises(SystemExit, match="^error: ") as error:
        sequence_layers.main([option])
    assert message in str(error.value)


@pytest.mark.slow
def test_the_command_prints_its_tables_and_draws_them(tmp_path, capsys):
    picture = tmp_path / "picture.png"
    sizes = ["--lengths=[8]", "--widths=[4]", "--batch_size=1", "--repeats=1"]
    sequence_layers.main([*sizes, "--picture", str(picture)])
    printed = capsys.readouterr().out
    assert "| recurrent | O(n) | 8 | 16 | 32 |" in printed
    for name, kind in KINDS.items():
        assert f"| {name} | O({kind.complexity}) | 4 | 8 |" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")
