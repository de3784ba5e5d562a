"""The command that averages: a new run folder, and the run as it was."""

import json
import shutil

import keras
import numpy as np
import pytest

from tests import tiny_runs
from training import average, run_folder, translate


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with three checkpoints, the second the best."""
    folder = tiny_runs.make(tmp_path_factory.mktemp("runs") / "tiny")
    (folder / "checkpoints").mkdir()
    model = keras.models.load_model(folder / "model.keras")
    entries = []
    for epoch, score in ((1, 3.0), (2, 9.0), (3, 5.0)):
        model.set_weights([weight + epoch for weight in model.get_weights()])
        entries.append({"file": f"epoch-{epoch:05d}.keras", "score": score})
        model.save(folder / "checkpoints" / entries[-1]["file"])
    index = {"monitor": "val_bleu", "mode": "max", "checkpoints": entries}
    (folder / "checkpoints" / "index.json").write_text(json.dumps(index))
    return folder


def weights(path):
    return keras.models.load_model(path, compile=False).get_weights()


@pytest.fixture(scope="module")
def weights_of(run):
    """{epoch: its weights}."""
    return {epoch: weights(run / f"checkpoints/epoch-{epoch:05d}.keras") for epoch in (1, 2, 3)}


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        pytest.param([], [1, 2, 3], marks=pytest.mark.slow),
        pytest.param(["--num", "2"], [2, 3], marks=pytest.mark.slow),
        pytest.param(["--select", "best", "--num", "1"], [2], marks=pytest.mark.slow),
        (["--select", "best", "--num", "2"], [2, 3]),
        (["--checkpoints", "epoch-00003.keras", "epoch-00001.keras"], [1, 3]),
    ],
)
def test_the_chosen_checkpoints_are_averaged_into_a_new_run_folder(
    run, weights_of, tmp_path, capsys, options, epochs
):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    average.main(["--run", str(run), "--output", str(tmp_path / "new" / "mean"), *options])
    names = [f"epoch-{epoch:05d}.keras" for epoch in epochs]
    assert capsys.readouterr().out == f"run folder: {tmp_path}/new/mean, mean of {', '.join(names)}\n"
    each = [weights_of[epoch] for epoch in epochs]
    for averaged, *values in zip(weights(tmp_path / "new" / "mean" / "model.keras"), *each, strict=True):
        np.testing.assert_allclose(averaged, np.mean(values, axis=0), rtol=1e-6)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mean"]


def test_the_commands_take_the_new_folder_and_its_name_is_that_of_the_run(run, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    average.main(["--run", str(copy)])
    capsys.readouterr()
    translate.main(["--run", str(tmp_path / "copy-average"), "--beam", "1", "5 March 2031"])
    assert capsys.readouterr().out.endswith("\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num", "4"], "last: 3. Received: num=4"),
        (["--num", "0"], "last: 3. Received: num=0"),
        (["--select", "newest"], "newest"),
        (
            ["--checkpoints", "epoch-00009.keras"],
            "Received: checkpoint='epoch-00009.keras'",
        ),
        (["--checkpoints", "epoch-00001.keras", "--num", "1"], "Received: both"),
    ],
)
def test_what_cannot_be_averaged_is_told_in_one_line(fails, run, tmp_path, options, message):
    assert message in fails(average.main, "--run", run, "--output", tmp_path / "mean", *options)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(fails, run, tmp_path):
    for output in (run, tmp_path):
        assert "must not exist" in fails(average.main, "--run", run, "--output", output)


def test_a_run_without_checkpoints_is_told_so(fails, drawn_run, tmp_path):
    output = tmp_path / "mean"
    assert "must be a last checkpoint" in fails(average.main, "--run", drawn_run, "--output", output)
    assert "must be a best checkpoint" in fails(
        average.main, "--run", drawn_run, "--output", output, "--select", "best"
    )
    assert "run folder" in fails(average.main, "--run", tmp_path, "--output", output)


def test_checkpoints_of_two_sizes_leave_nothing_behind(fails, run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    other = tiny_runs.make(tmp_path / "other", characters="abc")
    shutil.copy(other / "model.keras", copy / "checkpoints" / "epoch-00002.keras")
    assert "same shapes" in fails(average.main, "--run", copy)
    assert {path.name for path in tmp_path.iterdir()} == {"copy", "other"}


def test_weights_that_are_not_finite_are_written_nowhere(run, tmp_path, fails):
    broken = tmp_path / "run"
    shutil.copytree(run, broken)
    path = broken / "checkpoints" / "epoch-00002.keras"
    model = keras.models.load_model(path)
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    model.save(path)
    line = fails(average.main, "--run", broken)
    assert f"must be finite: no NaN, no infinity. Received: {path}: " in line
    with pytest.raises(ValueError, match="must be finite"):
        run_folder.save_model(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
