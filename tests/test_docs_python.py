"""Runs docs/python.md: a training, what is done with it, a sweep, a classifier."""

import re

import numpy as np
import pytest
import tensorflow as tf

from tests.source_code import ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def nothing_compiled():
    """Each graph would be traced for one step."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
def test_the_blocks_run_one_after_the_other(tmp_path, monkeypatch, capsys, nothing_compiled):
    monkeypatch.chdir(tmp_path)
    names = {}
    for body in BLOCK.findall((ROOT / "docs/python.md").read_text(encoding="utf-8")):
        exec(compile(body, "docs/python.md", "exec"), names)
    run, figures = names["run"], names["figures"]
    shown = " [0-9.]+, ".join(["val_loss", "val_bleu", "val_exact_match", "seconds"])
    assert re.fullmatch(rf"Run\(runs/digits, 1 epoch, {shown} [0-9.]+\)", repr(run))
    assert list(figures) == ["bleu", "chrf++", "chrf", "ter", "exact_match", "perplexity"]
    assert figures["bleu"].value == names["bleu"] and repr(figures).count("\n") == 5
    assert len(names["translations"]) == 2 and names["best"].score >= names["second"].score
    assert names["total"].shape == (1,)
    assert (tmp_path / "attention.png").stat().st_size > 1000
    assert len(names["history"].history["val_bleu"]) == 1
    assert set(names["tuner"].get_best_hyperparameters()[0].values) == {"model.num_heads", "optimizer.peak"}
    assert names["probabilities"].shape == (64, 2)
    assert names["block"](np.zeros((2, 5, 32))).shape == (2, 5, 32)
    assert str(names["run"].read("runs/digits")) == str(run)
