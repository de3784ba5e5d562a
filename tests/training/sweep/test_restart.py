"""A sweep that is killed at any moment goes on: nothing is lost, nothing finished is run twice."""

import json

import pytest

from tests.training.interruptions import Killed
from tests.training.sweep import fakes
from training.sweep import results, settings
from training.sweep.tuner import load

TUNERS = {"random": 3, "hyperband": 6, "bayesian": 3}


# What lies on the disk after a write lies there before the next one too, but for what is written in between.
@pytest.mark.parametrize(
    ("tuner", "is_after"),
    [
        pytest.param("random", False, marks=pytest.mark.slow),
        pytest.param("random", True, marks=pytest.mark.slow),
        ("hyperband", False),
        pytest.param("bayesian", False, marks=pytest.mark.slow),
    ],
)
def test_a_kill_at_any_write_changes_nothing(tmp_path, monkeypatch, tuner, is_after):
    sweep = fakes.make(tuner)
    writes = fakes.kill_at_write(monkeypatch, 0, False)
    undisturbed = fakes.trials_of(fakes.search(sweep, tmp_path / "undisturbed", fakes.Trainings()))
    monkeypatch.undo()
    assert len(undisturbed) == TUNERS[tuner]
    # Begin, and what is saved at the end of a trial: none in place.
    assert [path.name for path in writes].count("oracle.json") == 2 * TUNERS[tuner]
    assert {status for status, _, _ in undisturbed.values()} == {"COMPLETED"}
    # All moments of the simplest tuner; of the others so many that each kind of write is among them.
    for number in range(1, len(writes) + 1, {"random": 1, "bayesian": 3, "hyperband": 5}[tuner]):
        folder, trainings = tmp_path / str(number), fakes.Trainings()
        fakes.kill_at_write(monkeypatch, number, is_after)
        with pytest.raises(Killed):
            fakes.search(sweep, folder, trainings)
        monkeypatch.undo()
        found = fakes.trials_of(fakes.search(sweep, folder, trainings))
        assert found == undisturbed, number
        assert sorted(trainings.ended) == sorted(undisturbed), number
        assert {path.name for path in folder.glob("trial_*")} == {f"trial_{name}" for name in undisturbed}


def test_a_trial_that_was_running_is_resumed_with_its_values(tmp_path):
    sweep, trainings = fakes.make(), fakes.Trainings()
    undisturbed = fakes.trials_of(fakes.search(sweep, tmp_path / "undisturbed", fakes.Trainings()))
    for killed in (0, 2):
        trainings.kill_in = killed
        with pytest.raises(Killed):
            fakes.search(sweep, tmp_path / "sweep", trainings)
    assert fakes.trials_of(fakes.search(sweep, tmp_path / "sweep", trainings)) == undisturbed
    assert trainings.ended == list(undisturbed)


def test_a_sweep_that_is_over_runs_nothing_until_it_may_run_more(tmp_path):
    trainings = fakes.Trainings()
    first = fakes.trials_of(fakes.search(fakes.make(), tmp_path / "sweep", trainings))
    assert fakes.trials_of(fakes.search(fakes.make(), tmp_path / "sweep", trainings)) == first
    assert len(trainings.ended) == 3
    more = fakes.trials_of(fakes.search(fakes.make(max_trials=5), tmp_path / "sweep", trainings))
    assert len(more) == len(trainings.ended) == 5
    assert {name: more[name] for name in first} == first


def test_failed_trials_are_recorded_and_skipped(tmp_path, capsys):
    def loss(config, epoch):
        if config.model.dropout < 0.35:
            raise ValueError("two\nlines")
        return config.model.dropout

    sweep = fakes.make(max_trials=20)
    tuner = fakes.search(sweep, tmp_path / "sweep", fakes.Trainings(loss))
    found = results.rows(tuner)
    assert len(found) == 20
    failed = [row for row in found if row["status"] == "failed"]
    assert len(failed) > 10 and found[-len(failed) :] == failed
    assert {row["reason"] for row in failed} == {"two lines"}
    assert capsys.readouterr().err == ""
    # They stay failed, with their reason, after a restart.
    assert results.rows(load(tmp_path / "sweep")) == found


def test_three_failures_end_a_sweep_if_no_trial_has_ended_well(tmp_path):
    def loss(config, epoch):
        raise ValueError("no data")

    sweep = fakes.make(max_trials=20)
    tuner = fakes.search(sweep, tmp_path / "sweep", fakes.Trainings(loss))
    assert len(tuner.oracle.trials) == 3
    assert tuner.oracle.reason_to_stop == "all of 3 trials failed; the last: no data"
    # The same command tries again, with new values.
    again = fakes.search(sweep, tmp_path / "sweep", fakes.Trainings())
    assert len(again.oracle.trials) == 20


def test_a_loss_that_is_no_number_counts_for_nothing(tmp_path):
    def loss(config, epoch):
        return float("nan") if epoch == 1 or config.model.dropout > 0.3 else 1.0 / epoch

    tuner = fakes.search(fakes.make(max_trials=9), tmp_path / "sweep", fakes.Trainings(loss))
    scores = {row["model.dropout"] > 0.3: row["score"] for row in results.rows(tuner)}
    assert scores == {True: None, False: 1 / 3}


@pytest.mark.parametrize(
    "limit, reason", [({"minutes": 1.2}, "1.5 of 1.2 minutes"), ({"tokens": 70}, "90 of 70 tokens")]
)
def test_a_budget_ends_the_sweep_after_the_running_trial_and_survives_a_kill(tmp_path, limit, reason):
    sweep, trainings = fakes.make(max_trials=20, **limit), fakes.Trainings()
    trainings.kill_in = 2
    with pytest.raises(Killed):
        fakes.search(sweep, tmp_path / "sweep", trainings)
    tuner = fakes.search(sweep, tmp_path / "sweep", trainings)
    assert trainings.ended == ["00", "01", "02"]
    assert tuner.oracle.reason_to_stop == f"{reason} are spent"
    # More of it, and it goes on.
    fakes.search(fakes.make(max_trials=20, minutes=2.2), tmp_path / "sweep", trainings)
    assert trainings.ended[3:] == ["03", "04"]


@pytest.mark.slow
def test_bayesian_search_finds_what_is_good_and_tries_nothing_twice(tmp_path):
    tuner = fakes.search(fakes.make("bayesian", max_trials=12), tmp_path / "sweep", fakes.Trainings())
    values = [str(tuner.values_of(trial)) for trial in tuner.oracle.trials.values()]
    assert len(set(values)) == 12
    # Nine are drawn at random; the loss is least without dropout.
    dropouts = [tuner.values_of(trial)["model.dropout"] for trial in tuner.oracle.trials.values()]
    assert min(dropouts[9:]) < min(dropouts[:9])


def test_hyperband_trains_the_best_for_longer_and_from_the_beginning(tmp_path):
    tuner = fakes.search(fakes.make("hyperband"), tmp_path / "sweep", fakes.Trainings())
    found = {row["trial"]: row for row in results.rows(tuner)}
    epochs = sorted(row["epochs"] for row in found.values())
    assert epochs == [1, 1, 1, 3, 3, 3]
    (promoted,) = [
        trial for trial in tuner.oracle.trials.values() if "tuner/trial_id" in trial.hyperparameters.values
    ]
    first = found[promoted.hyperparameters.values["tuner/trial_id"]]
    assert first["model.dropout"] == min(row["model.dropout"] for row in found.values() if row["epochs"] == 1)
    assert found[promoted.trial_id]["model.dropout"] == first["model.dropout"]
    assert tuner.folder_of(promoted).config().initial.run is None


def test_what_ended_is_told_by_one_file_that_is_always_whole(tmp_path):
    tuner = fakes.search(fakes.make(), tmp_path / "sweep", fakes.Trainings())
    for path in (tmp_path / "sweep").glob("trial_*/trial.json"):
        path.write_text('{"trial_id"')  # half of it, as keras-tuner's own writing may leave
    assert fakes.trials_of(load(tmp_path / "sweep")) == fakes.trials_of(tuner)
    state = json.loads((tmp_path / "sweep/oracle.json").read_text())
    assert list(state["trials"]) == state["end_order"] == ["0", "1", "2"]


def test_another_sweep_is_refused(tmp_path):
    fakes.search(fakes.make(), tmp_path / "sweep", fakes.Trainings())
    other = {"model.num_layers": {"choice": [2, 3]}}
    for sweep, named in [
        (fakes.make("bayesian"), "tuner: random"),
        (fakes.make(seed=3), "seed: 0"),
        (fakes.make(mapping=other), "space model.num_layers"),
        (fakes.make(objective="val_perplexity"), "checkpoints.monitor: val_loss"),
    ]:
        with pytest.raises(ValueError, match=f"goes on as it began, {named}"):
            settings.enter(sweep, tmp_path / "sweep")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("")
    with pytest.raises(ValueError, match="holds something else"):
        settings.enter(fakes.make(), tmp_path / "mine")
    with pytest.raises(ValueError, match="holds sweep.yaml"):
        load(tmp_path / "mine")
    (tmp_path / "sweep/sweep.yaml").write_text("tuner: random\n")
    with pytest.raises(ValueError, match="must be what training.tune wrote"):
        load(tmp_path / "sweep")
