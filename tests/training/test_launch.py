"""Several workers on this machine: the same training as one, also when one is killed."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import psutil
import pytest
import yaml

from tests.training.conftest import TINY
from training import launch, train

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {
    **TINY,
    "data": {"name": "parallel_text", "max_length": 48, "bucket_boundaries": [48]},
    # With dropout, replicas would draw other numbers than one device.
    "model": {**TINY["model"], "dropout": 0.0},
    # Gradients of keys' biases are zero but for rounding; Adam's usual epsilon makes steps of that.
    "optimizer": {"warmup_steps": 5, "scale": 0.05, "ema_momentum": 0.5, "epsilon": 1e-4},
    "fit": {"epochs": 2, "steps_per_epoch": 3, "num_micro_batches": 2},
    "quality": {"num_pairs": 5},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    files = {}
    for split, size in (("train", 200), ("validation", 30)):
        lines = [f"{day}\t2031-03-{day:02}\n" for day in (1 + number % 28 for number in range(size))]
        (folder / split).write_text("".join(lines))
        files[split] = [str(folder / split)]
    path = folder / "workers.yaml"
    path.write_text(yaml.safe_dump(CONFIG | {"data": CONFIG["data"] | files}))
    return path


@pytest.fixture(scope="module")
def alone(config, tmp_path_factory):
    output = tmp_path_factory.mktemp("alone") / "run"
    train.main(["--config", str(config), "--output", str(output), "--data.batch_tokens", "192"])
    return output


@pytest.fixture
def start(config, warm_python):
    """Starts the command with two workers: `start(output, *arguments)`."""
    return functools.partial(start_with, warm_python, config)


def start_with(python, config, output, *arguments):
    return subprocess.Popen(
        [python, "-m", "training.launch", *arguments, "--", "--config", config, "--output", output]
        + ["--data.batch_tokens", "192"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def figures(run):
    """What was logged of each epoch, but for times."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    skipped = ("seconds", "tokens_per_second")
    return [{key: x for key, x in json.loads(line).items() if key not in skipped} for line in lines]


def assert_same_training(run, expected):
    for found, wanted in zip(figures(run), figures(expected), strict=True):
        assert found == pytest.approx(wanted, rel=1e-4)
    models = [keras.models.load_model(folder / "model.keras") for folder in (run, expected)]
    for weight, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(weight, other, atol=1e-5)


@pytest.mark.slow
def test_two_workers_train_as_one_process(start, alone, tmp_path):
    process = start(tmp_path / "run")
    printed, _ = process.communicate(timeout=500)
    assert process.returncode == 0, printed
    assert_same_training(tmp_path / "run", alone)
    assert printed.count("Epoch 1/2") == 1  # the chief's lines alone
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    names = {path.name for path in alone.iterdir()}
    assert {path.name for path in (tmp_path / "run").iterdir()} == names


@pytest.mark.slow
def test_workers_that_start_again_behind_the_end_leave_all_as_it_is(start, alone, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(alone, run)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    process = start(run)
    printed, _ = process.communicate(timeout=500)
    assert process.returncode == 0, printed
    assert "finished before" in printed
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_a_killed_worker_changes_nothing(config, alone, tmp_path, index):
    process = start_with(sys.executable, config, tmp_path / "run")
    while not list(tmp_path.glob("run/checkpoints/resume/epoch-*")):
        assert process.poll() is None
        time.sleep(0.1)
    workers = [
        child for child in psutil.Process(process.pid).children() if "training.train" in child.cmdline()
    ]
    os.kill(sorted(workers, key=lambda child: child.pid)[index].pid, signal.SIGKILL)
    printed, _ = process.communicate(timeout=500)
    assert process.returncode == 0, printed
    assert f"worker {index} was killed" in printed
    assert "going on after" in printed
    assert_same_training(tmp_path / "run", alone)


def test_an_error_of_the_configuration_ends_all_workers_in_one_line(config, warm_python, tmp_path):
    command = [warm_python, "-m", "training.launch", "--", "--config", config, "--model.num_heads", "0"]
    done = subprocess.run(
        [*command, "--output", tmp_path / "other"], cwd=ROOT, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "num_heads" in done.stderr
    assert not (tmp_path / "other").exists()


def test_numbers_of_workers_are_checked(fails):
    assert "at least one worker" in fails(launch.main, "--workers", 0, "--", "--config", "none.yaml")


KERAS_ALONE = """
import keras, sys
from keras_transformer.models.trainer import TokenMeanTrainer

for name in ("train_step", "test_step", "_maybe_symbolic_build"):
    delattr(TokenMeanTrainer, name)
from training import train
train.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_keras_alone_still_fails_with_several_workers(config, tmp_path):
    """When this test fails, Keras can do it: what `TokenMeanTrainer` overrides for that may go."""
    addresses = [f"127.0.0.1:{port}" for port in launch.free_ports(2)]
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        workers.append(
            subprocess.Popen(
                [sys.executable, "-c", KERAS_ALONE, "--config", config, "--output", tmp_path / "run"]
                + ["--fit.num_micro_batches", "1"],
                cwd=ROOT,
                env={**os.environ, "TF_CONFIG": json.dumps(task)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    try:
        printed, _ = workers[0].communicate(timeout=300)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert workers[0].returncode != 0, printed
    assert not (tmp_path / "run" / "model.keras").exists()
