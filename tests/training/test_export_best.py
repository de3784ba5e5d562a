"""Each new best checkpoint becomes a version of a served model; an export that fails disturbs nothing."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer.pipelines.translator import Translator
from keras_transformer_programs import child
from training import export_best, train


class Exports:
    """Stands in for the command: notes what it is told, writes an empty version, or fails."""

    def __init__(self):
        self.asked = []
        self.error = None

    def run(self, command, **kwargs):
        assert command[:5] == child.command("serving.export")
        options = dict(zip(command[5::2], command[6::2], strict=True))
        assert Path(options["--run"]).is_absolute() and Path(options["--output"]).is_absolute()
        self.asked.append(options["--checkpoint"])
        if self.error:
            return subprocess.CompletedProcess(command, 1, "", f"noise\nerror: {self.error}\n")
        output = Path(options["--output"])
        version = output / str(1 + len(list(output.iterdir()) if output.exists() else []))
        version.mkdir(parents=True)
        return subprocess.CompletedProcess(command, 0, f"exported: {version}\n", "")


@pytest.fixture
def exports(monkeypatch):
    exports = Exports()
    monkeypatch.setattr(export_best.subprocess, "run", exports.run)
    return exports


def end_epoch(run, epoch, scores, mode="max"):
    """Ends an epoch as `KeepCheckpoints` leaves it, with all checkpoints kept."""
    entries = [{"file": f"epoch-{i:05d}.keras", "score": score} for i, score in enumerate(scores[:epoch], 1)]
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    index = {"monitor": "val_bleu", "mode": mode, "checkpoints": entries}
    (run / "checkpoints" / "index.json").write_text(json.dumps(index))
    export_best.ExportBest(run, run / "served").on_epoch_end(epoch - 1)


def test_a_score_better_than_all_before_is_exported(tmp_path, exports):
    scores = [5, 4, 5, None, 7]  # an equal score is no better
    for epoch in range(1, 6):
        end_epoch(tmp_path, epoch, scores)
    assert exports.asked == ["epoch-00001.keras", "epoch-00005.keras"]


def test_better_may_be_lower_and_the_run_may_lie_below_where_the_training_was_started(
    tmp_path, exports, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for epoch in range(1, 4):
        end_epoch(Path("run"), epoch, [5, 4, 6], mode="min")
    assert exports.asked == ["epoch-00001.keras", "epoch-00002.keras"]


def test_an_epoch_that_comes_again_is_not_exported_again(tmp_path, exports):
    for epoch in (1, 2, 2, 3):
        end_epoch(tmp_path, epoch, [5, 6, 7])
    assert exports.asked == ["epoch-00001.keras", "epoch-00002.keras", "epoch-00003.keras"]
    # But it is where the version went away meanwhile.
    (tmp_path / "served" / "3").rmdir()
    end_epoch(tmp_path, 3, [5, 6, 7])
    assert exports.asked[3:] == ["epoch-00003.keras"]


def test_an_export_that_fails_is_told_in_one_line_and_tried_again_when_the_epoch_comes_again(
    tmp_path, exports, capsys
):
    exports.error = "no room"
    end_epoch(tmp_path, 1, [5])
    assert capsys.readouterr().out == "\nepoch-00001.keras could not be exported: error: no room\n"
    exports.error = None
    end_epoch(tmp_path, 1, [5])
    assert "exported: " in capsys.readouterr().out
    assert exports.asked == ["epoch-00001.keras"] * 2


@pytest.mark.slow
def test_the_best_model_is_served_while_the_training_lasts(tiny_config, tmp_path, capsys, monkeypatch):
    run, served = tmp_path / "run", tmp_path / "served"
    monkeypatch.chdir(tmp_path)  # where there is no serving/
    options = ["--checkpoints.monitor", "val_loss", "--checkpoints.export_best", str(served)]
    options += ["--fit.epochs", "2", "--quality.frequency", "0", "--fit.steps_per_epoch", "3"]
    train.main(["--config", tiny_config, "--output", str(run), *options])
    assert capsys.readouterr().out.count("exported: ") == 2
    assert sorted(path.name for path in served.iterdir()) == ["1", "2"]
    pair = (tf.constant(["5 March 2031"]), tf.constant(["2031-03-05"]))
    expected = Translator.from_run(run, checkpoint="best").score(*pair)[1]
    other = tf.saved_model.load(str(served / "2")).signatures["score"](source=pair[0], target=pair[1])
    np.testing.assert_allclose(other["log_prob"], expected, rtol=1e-5)
    first = tf.saved_model.load(str(served / "1")).signatures["score"](source=pair[0], target=pair[1])
    assert abs(float(first["log_prob"][0]) - float(expected[0])) > 1e-4
