"""The metrics file: a line for each epoch, also after an interruption."""

import json

import keras
import numpy as np
import pytest

from keras_transformer.callbacks import MetricsFile
from keras_transformer.callbacks.metrics_file import read_metrics


def fit(path, epochs, initial_epoch=0):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    x = np.ones((4, 2), "float32")
    arguments = dict(epochs=epochs, initial_epoch=initial_epoch, verbose=0, callbacks=[MetricsFile(path)])
    model.fit(x, x[:, :1], **arguments)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_epoch_has_a_line(tmp_path):
    records = fit(tmp_path / "metrics.jsonl", 3)
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert {"steps", "seconds", "learning_rate", "loss"} <= set(records[0])


def test_a_training_that_goes_on_replaces_the_lines_that_it_repeats(tmp_path):
    path = tmp_path / "metrics.jsonl"
    before = fit(path, 3)
    with path.open("a") as file:
        file.write('{"epoch": 4, "lo')  # killed while writing
    after = fit(path, 4, initial_epoch=2)
    assert [record["epoch"] for record in after] == [1, 2, 3, 4]
    assert after[:2] == before[:2]
    assert after[2]["seconds"] >= before[1]["seconds"]


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "{a}",
        '{"epoch": 1',
        '{"epoch": 1}{"epoch": 2}',
        '{"epoch": "1", "seconds": 1}',
        '{"epoch": 1, "seconds": 1, "loss": []}',
        '{"seconds": 1}',
    ],
)
def test_a_line_that_is_none_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    good = '{"epoch": 1, "seconds": 0.1, "loss": NaN}\n'
    path.write_text(good + line)  # a kill left it, whatever it looks like
    assert len(read_metrics(path, 9)) == 1
    path.write_text(good + line + "\n" + good)
    with pytest.raises(ValueError, match="metrics.jsonl must be what MetricsFile wrote.*line 2"):
        read_metrics(path, 9)


@pytest.mark.parametrize("end", ["", '{"epoch": 3, "a": {}', '{"epoch": 3, "seconds": 1', "}", "\0\0"])
def test_a_training_goes_on_behind_half_a_line(tmp_path, end):
    """Also behind a whole one whose line end is what was not written."""
    path = tmp_path / "metrics.jsonl"
    before = fit(path, 2)
    text = path.read_text()
    path.write_text(text + end if end else text.removesuffix("\n"))
    after = fit(path, 3, initial_epoch=2)
    assert [record["epoch"] for record in after] == [1, 2, 3] and after[:2] == before
