"""How a training is shared out among devices and workers."""

import json
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.source_code import ROOT
from tests.training.conftest import TINY
from training import devices, pipeline
from training.config import read
from training.datasets import pictures
from training.stages import data

CLUSTER = {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        json.dumps({"cluster": CLUSTER}),
        json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}),
        json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": -1}}),
        json.dumps({"cluster": CLUSTER, "task": {"type": "chief", "index": 0}}),
        "null",
        json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 0.5}}),
        json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": None}}),
        json.dumps({"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}),
        json.dumps({"cluster": {"worker": ["a:1", "a:b"]}, "task": {"type": "worker", "index": 0}}),
        json.dumps({"cluster": {"worker": ["a:1", "b:70000"]}, "task": {"type": "worker", "index": 0}}),
        json.dumps({"cluster": {"worker": ["a:1", 2]}, "task": {"type": "worker", "index": 0}}),
        json.dumps({"cluster": {"worker": ["10.0.0.1"]}, "task": {"type": "worker", "index": 0}}),
        json.dumps({"cluster": {"worker": "here:1"}, "task": {"type": "worker", "index": 0}}),
        json.dumps({"cluster": {**CLUSTER, "ps": ["a:1"]}, "task": {"type": "worker", "index": 0}}),
    ],
)
def test_a_malformed_cluster_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG must be .* Received: "):
        devices.num_workers()


def test_the_first_worker_is_the_chief(monkeypatch):
    assert devices.num_workers() == 1 and devices.is_chief()
    for index in (0, 1):
        task = {"type": "worker", "index": index}
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": CLUSTER, "task": task}))
        assert devices.num_workers() == 2
        assert devices.is_chief() == (index == 0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_devices", 0, "must be at least 1. Received: 0"),
        ("num_devices", 99, "must not be above 16 where there is no GPU. Received: 99"),
        ("num_micro_batches", "auto", "must be a number where several devices"),
        ("jit_compile", "on", "must be auto or off where several devices"),
    ],
)
def test_what_several_devices_cannot_have_is_refused(field, value, message):
    config = read({**TINY, "fit": {**TINY["fit"], field: value}})
    with pytest.raises(ValueError, match=message):
        if field == "num_devices":
            devices.make_strategy(config.fit.num_devices)
        data.prepare(config, num_replicas=2)


def test_a_lost_worker_is_told_and_other_errors_stay(monkeypatch):
    def lose(error):
        with devices.explain_lost_workers():
            raise error(None, None, "recvmsg: Connection reset")

    with pytest.raises(tf.errors.UnavailableError):
        lose(tf.errors.UnavailableError)  # of one process: nobody has gone
    task = {"type": "worker", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": CLUSTER, "task": task}))
    with pytest.raises(ValueError, match="another one has gone"):
        lose(tf.errors.UnavailableError)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        lose(tf.errors.ResourceExhaustedError)


class Counting(pipeline.Batches):
    """Three batches of six rows in a pass."""

    signature = tf.TensorSpec((None,), tf.int32)

    def __len__(self):
        return 3

    def batches_of_pass(self, number, start=0):
        for place in range(start, len(self)):
            yield np.arange(6, dtype=np.int32) + 100 * number + 10 * place


@pytest.mark.parametrize("endless", [True, False])
def test_the_parts_of_all_workers_are_the_batches(endless):
    batches = Counting()
    start = 2 if endless else 0
    first = batches.parts(3, range(0, 2), start, endless).take(8)
    second = batches.parts(3, range(2, 3), start, endless).take(4)
    first, second = (np.array(list(part.as_numpy_iterator())) for part in (first, second))
    together = [np.concatenate([*first[2 * place : 2 * place + 2], second[place]]) for place in range(4)]
    expected = [batch for number in (0, 1) for batch in batches.batches_of_pass(number if endless else 0)]
    np.testing.assert_array_equal(together, expected[start : start + 4])


def test_a_last_batch_that_cannot_be_split_evenly_is_split_all_the_same():
    rows = np.arange(7)
    batches = pipeline.ArrayBatches(rows, rows, batch_size=6, shuffle=False, seed=0)
    parts = batches.parts(3, range(3), endless=False).take(6)
    found = [labels.tolist() for _, labels in parts.as_numpy_iterator()]
    assert found == [[0, 1], [2, 3], [4, 5], [6], [], []]


@pytest.mark.slow
def test_two_devices_measure_every_image_of_an_uneven_validation_set(warm_python, tmp_path):
    """180 digits in batches of 179: one row is left for two devices."""
    config = tmp_path / "digits.yaml"
    config.write_text(
        """data: {name: digits, batch_size: 179}
model: {kind: attention_cnn, filters: [2]}
optimizer: {schedule: cosine, warmup_steps: 1}
fit: {epochs: 1, steps_per_epoch: 1, num_devices: 2}
"""
    )
    command = ["-m", "training.train", "--config", config, "--output", tmp_path / "run"]
    done = subprocess.run([warm_python, *map(str, command)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads((tmp_path / "run/metrics.jsonl").read_text())
    model = keras.models.load_model(tmp_path / "run/model.keras")
    images, labels, names = pictures.load("digits", "validation")
    found = np.argmax(model.predict(images[..., None], verbose=0), axis=1)
    right = [sorted(names)[place] == names[label] for place, label in zip(found, labels, strict=True)]
    assert record["val_accuracy"] == pytest.approx(np.mean(right))
