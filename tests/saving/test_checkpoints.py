"""Checkpoints on disk: found by name, age and score, and averaged."""

import json

import keras
import numpy as np
import pytest

from keras_transformer.saving.checkpoints import (
    INDEX_FILE,
    average,
    checkpoint_path,
    choose,
    ranked,
    read_index,
)


def save(path, seed, width=5, layers=1):
    """Writes a model with a random stream; returns its weights."""
    keras.utils.set_random_seed(seed)
    dense = [keras.layers.Dense(width) for _ in range(layers)]
    counter = keras.layers.Normalization(mean=[1.0] * 3, variance=[1.0] * 3)  # keeps integers, too
    model = keras.Sequential([keras.Input((3,)), counter, *dense, keras.layers.Dropout(0.5)])
    model.compile(optimizer="adam", loss="mse")
    model.save(path)
    return model.get_weights()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder as far as checkpoints go: epochs 2 and 3 are the best, 5 and 6 the newest."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "checkpoints").mkdir()
    scores = {"epoch-00002.keras": 7.0, "epoch-00003.keras": 9.0, "epoch-00005.keras": None}
    scores["epoch-00006.keras"] = 4.0
    for seed, name in enumerate(scores):
        save(folder / "checkpoints" / name, seed)
    entries = [{"file": file, "score": score} for file, score in scores.items()]
    index = {"monitor": "val_bleu", "mode": "max", "checkpoints": entries}
    (folder / "checkpoints" / INDEX_FILE).write_text(json.dumps(index))
    (folder / "checkpoints" / ".incomplete.keras").write_bytes(b"half")
    return folder


@pytest.mark.parametrize(
    ("select", "num", "expected"),
    [
        ("last", 1, [6]),
        ("last", 3, [3, 5, 6]),
        ("last", None, [2, 3, 5, 6]),
        ("best", 1, [3]),
        ("best", 2, [2, 3]),
        ("best", None, [2, 3, 6]),
        ("best", 9, [2, 3, 6]),
    ],
)
def test_checkpoints_are_chosen_by_age_or_score_and_come_oldest_first(run, select, num, expected):
    paths = choose(run / "checkpoints", select, num)
    assert paths == [run / "checkpoints" / f"epoch-{epoch:05d}.keras" for epoch in expected]


def test_the_lowest_are_best_where_the_index_says_so(run, tmp_path):
    index = read_index(run / "checkpoints") | {"mode": "min"}
    (tmp_path / INDEX_FILE).write_text(json.dumps(index))
    assert choose(tmp_path, "best", 1) == [tmp_path / "epoch-00006.keras"]


@pytest.mark.parametrize("mode", ["max", "min"])
def test_of_equally_good_checkpoints_the_newest_are_the_best(tmp_path, mode):
    entries = [{"file": f"epoch-{epoch:05d}.keras", "score": 5.0} for epoch in range(1, 5)]
    worse = {"file": "epoch-00005.keras", "score": 4.0 if mode == "max" else 6.0}
    index = {"monitor": "val_bleu", "mode": mode, "checkpoints": [*entries, worse]}
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / INDEX_FILE).write_text(json.dumps(index))
    assert [entry["file"] for entry in ranked(index["checkpoints"], mode)] == [
        f"epoch-0000{epoch}.keras" for epoch in (4, 3, 2, 1, 5)
    ]
    paths = choose(tmp_path / "checkpoints", "best", 2)
    assert [path.name for path in paths] == ["epoch-00003.keras", "epoch-00004.keras"]
    assert checkpoint_path(tmp_path, "best").name == "epoch-00004.keras"


@pytest.mark.parametrize(
    "index",
    [
        "",
        "[]",
        "null",
        '{"monitor": "a", "mode": "max", "checkpoints": [3]}',
        '{"monitor": "a", "mode": "max", "checkpoints": [{"file": "../../x.keras", "score": 1}]}',
        '{"monitor": "a", "mode": "max", "checkpoints": [{"file": 1, "score": 1}]}',
        "[" * 100_000,
    ],
)
def test_an_index_that_is_none_is_named(tmp_path, index):
    (tmp_path / INDEX_FILE).write_text(index)
    with pytest.raises(ValueError, match="index.json must"):
        choose(tmp_path, "best")


def test_a_checkpoint_has_a_name_or_is_the_best_or_the_last(run, tmp_path):
    assert checkpoint_path(run, "best").name == "epoch-00003.keras"
    assert checkpoint_path(run, "last").name == "epoch-00006.keras"
    assert checkpoint_path(run, "epoch-00005.keras") == run / "checkpoints" / "epoch-00005.keras"
    (tmp_path / "model.keras").write_bytes(b"")
    assert checkpoint_path(tmp_path) == tmp_path / "model.keras"


@pytest.mark.parametrize(
    "name", ["epoch-00004.keras", "../checkpoints/epoch-00002.keras", ".incomplete.keras", ""]
)
def test_a_checkpoint_that_is_not_there_is_refused_with_those_that_are(run, name):
    expected = (
        "epoch-00002.keras, epoch-00003.keras, epoch-00005.keras, epoch-00006.keras. Received: checkpoint="
    )
    with pytest.raises(ValueError, match=expected):
        checkpoint_path(run, name)


def test_a_run_without_checkpoints_says_so(tmp_path):
    for name, message in (("best", "none with a score"), ("last", "none"), ("a.keras", "there is none")):
        with pytest.raises(ValueError, match=message):
            checkpoint_path(tmp_path, name)
    with pytest.raises(ValueError, match="without model.keras"):
        checkpoint_path(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"mode": "max"}', '{"mode": "max", "checkpoints": [{}]}'])
def test_a_damaged_index_is_named(tmp_path, text):
    (tmp_path / INDEX_FILE).write_text(text)
    with pytest.raises(ValueError, match=f"{INDEX_FILE} must be what KeepCheckpoints wrote"):
        read_index(tmp_path)


def test_the_average_is_the_arithmetic_mean_in_float64(tmp_path):
    paths = [tmp_path / f"{seed}.keras" for seed in range(3)]
    weights = [save(path, seed) for seed, path in enumerate(paths)]
    model = average(paths)
    assert not model.compiled
    for averaged, *each in zip(model.get_weights(), *weights, strict=True):
        if np.issubdtype(averaged.dtype, np.floating):
            expected = sum(weight.astype(np.float64) for weight in each) / 3
            np.testing.assert_array_equal(averaged, expected.astype(averaged.dtype))


def test_large_numbers_that_cancel_do_so_exactly(tmp_path):
    # In float32 the one is lost beside 2 ** 25.
    paths = [tmp_path / f"{index}.keras" for index in range(3)]
    for path, value in zip(paths, (2.0**25, 3.0, -(2.0**25)), strict=True):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        model.set_weights([np.full_like(weight, value) for weight in model.get_weights()])
        model.save(path)
    for weight in average(paths).get_weights():
        np.testing.assert_array_equal(weight, np.ones_like(weight))


@keras.saving.register_keras_serializable(package="tests")
class Counter(keras.layers.Layer):
    """Keeps an integer."""

    def build(self, input_shape):
        self.count = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)

    def call(self, inputs):
        return inputs


def test_integers_come_from_the_last(tmp_path):
    paths = []
    for count in (7, 2, 3):
        model = keras.Sequential([keras.Input((2,)), Counter()])
        model.layers[0].count.assign(count)
        paths.append(tmp_path / f"{count}.keras")
        model.save(paths[-1])
    assert int(average(paths).layers[0].count) == 3


def test_one_checkpoint_is_its_own_average(tmp_path):
    weights = save(tmp_path / "a.keras", 1)
    for averaged, weight in zip(average([tmp_path / "a.keras"]).get_weights(), weights, strict=True):
        np.testing.assert_array_equal(averaged, weight)


def test_checkpoints_that_do_not_fit_together_are_refused(tmp_path):
    save(tmp_path / "a.keras", 1)
    save(tmp_path / "wide.keras", 1, width=7)
    save(tmp_path / "deep.keras", 1, layers=2)
    with pytest.raises(ValueError, match=r"kernel, \(3, 5\) in .*a.keras, \(3, 7\) in .*wide.keras"):
        average([tmp_path / "a.keras", tmp_path / "wide.keras"])
    with pytest.raises(ValueError, match="same variables. Received: .*deep.keras"):
        average([tmp_path / "a.keras", tmp_path / "deep.keras"])
    with pytest.raises(ValueError, match="Received: none"):
        average([])


def test_a_checkpoint_that_is_not_finite_is_named_and_spoils_no_mean(tmp_path):
    paths = [tmp_path / "one.keras", tmp_path / "two.keras"]
    save(paths[0], 1)
    save(paths[1], 2)
    broken = keras.models.load_model(paths[1], compile=False)
    broken.layers[-2].kernel.assign(np.full((3, 5), np.inf))
    broken.save(paths[1])
    with pytest.raises(ValueError, match=r"must be finite.*Received: .*two\.keras: 1 of .*kernel"):
        average(paths)
