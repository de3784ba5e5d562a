"""The last and the best checkpoints: which are kept, whatever happens while they are written."""

import json

import keras
import numpy as np
import pytest

from keras_transformer.callbacks import KeepCheckpoints
from keras_transformer.saving.checkpoints import INDEX_FILE, read_index


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])


def run(callback, model, scores, first=1):
    """Ends an epoch after another, with these values of `val_bleu`."""
    callback.set_model(model)
    for epoch, score in enumerate(scores, first - 1):
        callback.on_epoch_end(epoch, {} if score is None else {"val_bleu": score})


def kept(folder):
    """Numbers of the epochs whose files are there; the index must name the same."""
    names = sorted(path.name for path in folder.glob("*.keras"))
    assert names == [entry["file"] for entry in read_index(folder)["checkpoints"]]
    return [int(name.removeprefix("epoch-").removesuffix(".keras")) for name in names]


@pytest.mark.parametrize(
    ("last", "best", "mode", "scores", "expected"),
    [
        (1, 0, "max", [5, 3, 1], [3]),
        (2, 0, "max", [5, 3, 1], [2, 3]),
        (1, 1, "max", [5, 7, 3, 1], [2, 4]),
        (1, 1, "min", [5, 7, 3, 4], [3, 4]),
        (1, 2, "max", [5, 7, 3, 6], [2, 4]),  # the last is among the best
        (2, 2, "max", [5, 7, 3, 1], [1, 2, 3, 4]),
        (1, 1, "max", [7, 7, 3], [2, 3]),  # of equals the newest
        (1, 1, "max", [5, None, None], [1, 3]),  # without a score it is never best
        (1, 1, "max", [5, float("nan"), 3], [1, 3]),
        (1, 1, "min", [float("nan"), 5, 6], [2, 3]),
        (1, 1, "max", [None, None], [2]),
    ],
)
def test_the_last_and_the_best_are_kept(model, tmp_path, last, best, mode, scores, expected):
    run(KeepCheckpoints(tmp_path, last, best, mode=mode), model, scores)
    assert kept(tmp_path) == expected


def test_an_epoch_that_comes_again_replaces_what_it_left_and_what_came_later(model, tmp_path):
    run(KeepCheckpoints(tmp_path, last=2, best=1), model, [9, 5, 6])
    run(KeepCheckpoints(tmp_path, last=2, best=1), model, [4], first=3)
    assert kept(tmp_path) == [1, 2, 3]
    assert [entry["score"] for entry in read_index(tmp_path)["checkpoints"]] == [9, 5, 4]


def test_a_full_disk_leaves_what_was_there(model, tmp_path, monkeypatch):
    run(KeepCheckpoints(tmp_path, last=1), model, [5])
    index = (tmp_path / INDEX_FILE).read_text()

    def full(path, **_):
        path.mkdir()
        (path / "half").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", full)
    with pytest.raises(OSError, match="No space left"):
        run(KeepCheckpoints(tmp_path, last=1), model, [5], first=2)
    assert kept(tmp_path) == [1]
    assert (tmp_path / INDEX_FILE).read_text() == index
    assert not list(tmp_path.glob(".*"))


def test_the_index_is_read_by_any_json_parser(model, tmp_path):
    run(KeepCheckpoints(tmp_path, last=3, best=1), model, [5, float("nan"), None])

    def refuse(constant):
        raise AssertionError(constant)

    index = json.loads((tmp_path / INDEX_FILE).read_text(), parse_constant=refuse)
    assert [entry["score"] for entry in index["checkpoints"]] == [5, None, None]
    assert (index["monitor"], index["mode"]) == ("val_bleu", "max")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"last": 0}, "last=0"), ({"best": -1}, "best=-1"), ({"mode": "auto"}, "mode='auto'")],
)
def test_an_argument_out_of_range_is_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        KeepCheckpoints(tmp_path, **arguments)


def test_a_damaged_index_is_told_before_the_first_step(model, tmp_path):
    (tmp_path / INDEX_FILE).write_text("{")
    model.compile(loss="mse", run_eagerly=True)
    with pytest.raises(ValueError, match="index.json must be what KeepCheckpoints wrote"):
        model.fit(np.zeros((2, 2)), np.zeros((2, 3)), verbose=0, callbacks=[KeepCheckpoints(tmp_path)])


@pytest.mark.parametrize("mode", ["max", "min"])
def test_of_equally_good_ones_the_newest_is_kept(model, tmp_path, mode):
    run(KeepCheckpoints(tmp_path, last=1, best=1, mode=mode), model, [5, 5, 5, None])
    assert kept(tmp_path) == [3, 4]
