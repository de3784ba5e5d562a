"""Runs that the commands need, made once for all tests, and the shape of an error."""

import pytest
import tensorflow as tf
import yaml

import command_line
from tests import tiny_runs
from training import train

TINY = {
    "data": {"name": "dates", "num_examples": 300, "max_length": 48, "bucket_boundaries": [48]},
    "tokenizer": {"source": {"kind": "bytes"}, "target": {"kind": "code_points"}},
    "model": {"num_layers": 1, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 17},
    "optimizer": {"warmup_steps": 5, "ema_momentum": 0.5},
    "fit": {"epochs": 1},
    "quality": {"num_pairs": 20},
}


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return str(path)


@pytest.fixture(scope="session")
def run(tiny_config, made_once):
    """A run that `training.train` made."""

    def make(folder):
        train.main(["--config", tiny_config, "--output", str(folder / "tiny")])

    return made_once("trained", make) / "tiny"


@pytest.fixture(scope="session")
def drawn_run(made_once):
    """A run with weights as drawn: other answers to other questions."""
    return made_once("drawn", tiny_runs.make)


@pytest.fixture(scope="module")
def eager():
    """Nothing is compiled: each graph would be made for one question."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def compiled(eager):
    """But in this test."""
    tf.config.run_functions_eagerly(False)
    yield
    tf.config.run_functions_eagerly(True)


@pytest.fixture
def fails(capsys):
    """Runs a command that must fail and returns its one line of error."""

    def fails(main, *arguments):
        with pytest.raises(SystemExit) as exit_info:
            command_line.run(lambda: main([str(argument) for argument in arguments]))
        printed = capsys.readouterr().err
        message = exit_info.value.code if isinstance(exit_info.value.code, str) else printed
        assert exit_info.value.code not in (0, None)
        assert len(message.strip().splitlines()) == 1
        assert "Traceback" not in printed
        return message

    return fails
