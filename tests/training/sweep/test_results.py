"""What a sweep leaves: rows, files, a picture, the best run."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from tests.training.sweep import fakes
from training.sweep import picture, results
from training.sweep.tuner import load


@pytest.fixture(scope="module")
def tuner(tmp_path_factory):
    def loss(config, epoch):
        if config.model.dropout > 0.36:
            raise ValueError("too much | [dropout]")
        return config.model.dropout + (epoch - 2) ** 2

    return fakes.search(
        fakes.make(max_trials=16), tmp_path_factory.mktemp("sweeps") / "sweep", fakes.Trainings(loss)
    )


def test_the_table_has_the_best_trial_first_and_says_why_others_failed(tuner, capsys):
    found = results.rows(tuner)
    scores = [row["score"] for row in found if row["score"] is not None]
    assert len(found) == 16 and scores == sorted(scores) and 10 <= len(scores) < 16
    assert found[0]["epoch"] == 2 and found[0]["epochs"] == 3 and found[0]["tokens"] == 30
    assert found[0]["score"] == found[0]["model.dropout"]
    results.show(found, "val_loss")
    printed = capsys.readouterr().out
    assert "val_loss" in printed and "optimizer.clip_norm" in printed
    assert f"trial {found[-1]['trial']} failed: too much | [dropout]" in printed


def test_the_files_hold_the_rows(tuner):
    results.write(tuner)
    found = results.rows(tuner)
    written = json.loads((tuner.folder / "results.json").read_text())
    assert written == {"objective": "val_loss", "mode": "min", "trials": found}
    with open(tuner.folder / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == [row["trial"] for row in found]
    assert float(rows[0]["model.dropout"]) == found[0]["model.dropout"]


def test_the_best_run_is_copied_and_replaced_by_a_better_one(tuner):
    results.finish(tuner)
    best = results.rows(tuner)[0]["trial"]
    assert (tuner.folder / "best/model.keras").read_text() == best
    (tuner.folder / ".incomplete-best").mkdir()  # of a copy that was killed
    second = results.rows(tuner)[1]["trial"]
    results.copy_run(tuner.folder / f"trial_{second}/run", tuner.folder / "best")
    assert (tuner.folder / "best/model.keras").read_text() == second
    assert not list(tuner.folder.glob(".*-best"))
    results.finish(load(tuner.folder))
    assert (tuner.folder / "best/model.keras").read_text() == best


def test_a_sweep_of_failures_has_no_best(tmp_path, capsys):
    def loss(config, epoch):
        raise ValueError("no data")

    tuner = fakes.search(fakes.make(), tmp_path / "sweep", fakes.Trainings(loss))
    with pytest.raises(ValueError, match="3, all failed; the last: no data"):
        results.finish(tuner)
    assert not (tmp_path / "sweep/best").exists()
    with pytest.raises(ValueError, match="Only a completed trial has a model. Received: 0, FAILED"):
        tuner.load_model(tuner.oracle.trials["0"])


def test_the_field_that_decides_is_the_most_important():
    generator = np.random.default_rng(0)
    points = generator.uniform(size=(30, 3))
    shares = picture.importance(points, 5 * points[:, 1] + 0.1 * points[:, 2])
    assert shares[1] > 10 * max(shares[0], shares[2]) and min(shares) >= 0


@pytest.mark.parametrize("number, is_wider", [(14, True), (4, False)])
def test_the_picture_shows_importance_once_there_are_enough_trials(tuner, tmp_path, number, is_wider):
    scored = [row for row in results.rows(tuner) if row["score"] is not None][:number]
    picture.draw(scored, tuner.hypermodel.space, "val_loss", "min", tmp_path)
    with Image.open(tmp_path / "results.png") as image:
        width, height = image.size
    assert height == round(4.2 * 120)
    assert (width > 1000) == is_wider


def test_equal_scores_and_a_single_trial_can_be_drawn(tuner, tmp_path):
    row = results.rows(tuner)[0]
    for scored in ([row], [row] * 12, [row, row | {"epochs": 1}]):
        picture.draw(scored, tuner.hypermodel.space, "val_loss", "min", tmp_path)
        assert (tmp_path / "results.png").exists()


@pytest.mark.parametrize("sampling", ["linear", "log", "reverse_log"])
def test_the_ends_of_a_range_are_the_ends_of_its_axis(sampling):
    from training.sweep.space import Field

    scale = picture._scale(Field("optimizer.peak", "float", (0.01, 1.0), None, sampling))
    assert [scale(value) for value in (0.01, 1.0)] == pytest.approx([0.0, 1.0])
    middle = {"linear": 0.505, "log": 0.1, "reverse_log": 0.91}[sampling]
    assert scale(middle) == pytest.approx(0.5)
