"""What notebooks call, as far as docs/python.md does not show it."""

import dataclasses

import pytest
import yaml

import keras_transformer_programs
from keras_transformer.quality import Measured
from tests.training.conftest import TINY
from training import config as configs
from training import measuring, python


def test_every_name_that_is_offered_is_there():
    offered = {name: getattr(keras_transformer_programs, name) for name in keras_transformer_programs.__all__}
    assert all(map(callable, offered.values())) and offered["train"] is python.train
    assert set(offered) <= set(dir(keras_transformer_programs))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = keras_transformer_programs.nothing


def test_fields_of_a_configuration_are_changed_by_their_names():
    config = python.read_config(TINY, {"fit.epochs": 7, "data.train": ["a.tsv"]})
    before = configs.read(TINY)
    assert config.fit == dataclasses.replace(before.fit, epochs=7) and config.model == before.model
    assert python.read_config(config) is config
    with pytest.raises(ValueError, match="Received: fit.epoch. Nearest: fit.epochs"):
        python.read_config(TINY, {"fit.epoch": 7})
    with pytest.raises(ValueError, match="fit.epochs"):
        python.read_config(TINY, {"fit.epochs": "many"})


def test_runs_of_other_kinds_are_measured_too(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model": {"kind": "causal_lm"}}))
    found = [Measured("perplexity", 2.5, "", "of characters")]
    monkeypatch.setattr(measuring, "measure", lambda run, split, *others: found if split == "test" else None)
    assert repr(python.evaluate(tmp_path)) == "perplexity = 2.50  of characters"
    assert python.evaluate(tmp_path)["perplexity"].value == 2.5


def test_an_unfinished_run_is_told(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY))
    with pytest.raises(ValueError, match="must have ended"):
        python.Run.read(tmp_path)
