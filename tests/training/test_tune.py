"""The command: what it refuses, and a real sweep that is killed and goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.training.sweep import fakes
from training import translate, tune
from training.config import read
from training.sweep import running, settings, space, worker
from training.sweep.process import environment
from training.sweep.tuner import load

SPACE = {"model.num_layers": {"choice": [1, 2]}, "model.dropout": {"float": [0.0, 0.5], "step": 0.1}}


@pytest.fixture(autouse=True)
def no_roles(monkeypatch):
    for name in worker.VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def space_file(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump(SPACE))
    return path


def test_what_cannot_work_ends_in_one_line_and_leaves_nothing(
    fails, tiny_config, tmp_path, space_file, monkeypatch
):
    output = tmp_path / "sweep"
    usual = ["--config", tiny_config, "--space", space_file, "--output", output]
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("model.num_layer: {choice: [1, 2]}\n")
    assert "wrong.yaml: " in fails(tune.main, *usual, "--space", wrong)
    assert "nearest: model.num_layers" in fails(tune.main, *usual, "--space", wrong)
    assert "There must be such a YAML file" in fails(tune.main, *usual, "--space", tmp_path / "none.yaml")
    assert "`objective` must be one of" in fails(tune.main, *usual, "--objective", "val_blue")
    assert "grid" in fails(tune.main, *usual, "--tuner", "grid")
    assert "`workers` must be" in fails(tune.main, *usual, "--workers", "0")
    assert "Nearest: model.num_layers" in fails(tune.main, *usual, "--model.num_layer", "3")
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    assert "set together" in fails(tune.main, *usual)
    assert not output.exists()
    output.mkdir()
    (output / "mine.txt").write_text("")
    monkeypatch.delenv("KERASTUNER_TUNER_ID")
    assert "holds something else" in fails(tune.main, *usual)


def test_the_folder_of_another_space_is_refused_in_one_line(fails, tiny_config, tmp_path, space_file):
    config = read(yaml.safe_load(Path(tiny_config).read_text()))
    settings.enter(settings.make(config, space.parse(SPACE, config)), tmp_path / "sweep")
    space_file.write_text(yaml.safe_dump({**SPACE, "model.num_layers": {"choice": [1, 3]}}))
    line = fails(tune.main, "--config", tiny_config, "--space", space_file, "--output", tmp_path / "sweep")
    assert "goes on as it began, space model.num_layers" in line and "(1, 3)" in line


def test_two_commands_never_share_a_folder(tmp_path):
    with running._alone(tmp_path / "sweep"):
        with pytest.raises(ValueError, match="One sweep at a time"):
            running.run(fakes.make(), tmp_path / "sweep")


def test_a_chief_whose_port_is_in_use_ends_in_one_line(fails, tiny_config, tmp_path, space_file, monkeypatch):
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for name, value in zip(worker.VARIABLES, ("chief", "127.0.0.1", str(port)), strict=True):
            monkeypatch.setenv(name, value)
        usual = ["--config", tiny_config, "--space", space_file, "--output", tmp_path / "sweep"]
        assert f"a port that is free. Received: 127.0.0.1:{port}" in fails(tune.main, *usual)


@pytest.mark.slow
def test_a_real_sweep_that_was_killed_goes_on_and_its_best_run_translates(
    tiny_config, tmp_path, space_file, capsys
):
    output = tmp_path / "sweep"
    options = ["--config", tiny_config, "--space", str(space_file), "--output", str(output)]
    options += ["--max_trials", "2", "--fit.epochs", "3", "--objective", "val_loss"]
    command = subprocess.Popen([sys.executable, "-m", "training.tune", *options], env=environment())
    while not (output / "trial_0/run/checkpoints/resume/epoch-00001").exists():
        assert command.poll() is None
        time.sleep(0.02)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    tune.main(options)
    assert "going on after 0 trials" in capsys.readouterr().out
    assert "going on after" in (output / "trial_0/train.log").read_text()
    found = json.loads((output / "results.json").read_text())["trials"]
    assert [row["status"] for row in found] == ["completed"] * 2 and {row["epochs"] for row in found} == {3}
    assert found[0]["score"] < found[1]["score"] and found[0]["tokens"] > 0
    best = load(output).get_best_models()[0]
    assert best.get_config()["num_layers"] == found[0]["model.num_layers"]
    translate.main(["--run", str(output / "best"), "--beam", "1", "5 March 2031"])


@pytest.mark.slow
def test_two_workers_are_two_processes_that_end(tmp_path):
    config = space.changed(read({}), {"fit.seed": 300})
    sweep = settings.make(config, space.parse(fakes.SPACE, config), objective="val_loss", max_trials=4)
    running.run(sweep, tmp_path / "sweep", workers=2, program="benchmarks.sleeping_trial")
    for number in range(4):
        for word in ("begun", "ended"):
            assert (tmp_path / f"sweep/trial_{number}/{word}.txt").read_text().count("\n") == 1
    assert len(load(tmp_path / "sweep").oracle.end_order) == 4
    import psutil

    assert not [p for p in psutil.Process().children(recursive=True) if "sweep" in " ".join(p.cmdline())]
