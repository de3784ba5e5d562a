"""What presets/make.py makes of a run is a run of the same weights, rounded."""

import importlib.util
import json

import numpy as np
import pytest

from keras_transformer import pipelines
from keras_transformer.pipelines import presets
from tests.source_code import ROOT


@pytest.fixture
def make(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("make_preset", ROOT / "presets/make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PACKAGE", tmp_path)
    monkeypatch.setattr(module, "INDEX", tmp_path / presets.INDEX)
    monkeypatch.setattr(presets, "CLONE", tmp_path)
    return module


def test_a_run_becomes_a_preset(make, zoo_run, tmp_path, capsys):
    run = zoo_run("conv_seq2seq")
    card = tmp_path / "card.md"
    card.write_text("# mine\n")
    for about in ("first", "second"):  # made again, it takes the place of the one before
        make.main(["--run", str(run), "--name", "mine", "--about", about, "--card", str(card)])
    assert "bytes" in capsys.readouterr().out
    assert presets.names() == {"mine": "second"}
    found, original = pipelines.from_preset("mine"), pipelines.load(run)
    for mine, other in zip(found.model.weights, original.model.weights, strict=True):
        assert mine.dtype == other.dtype == "float32"
        np.testing.assert_array_equal(mine, np.float32(np.float16(other)))
    assert found.translate(["5 March 2031"]) and (tmp_path / "mine/CARD.md").read_text() == "# mine\n"
    listed = json.loads((tmp_path / presets.INDEX).read_text())["mine"]["files"]
    assert {"model.keras", "config.yaml", "pipeline.json", "CARD.md"} < set(listed)


def test_paths_of_the_machine_are_left_out(make):
    config = {"data": {"train": ["/home/me/a.tsv", "b.tsv"]}, "fit": {"seed": 1}}
    assert make.without_paths(config) == {"data": {"train": ["a.tsv", "b.tsv"]}, "fit": {"seed": 1}}
