"""What a sweep is asked for is checked before anything is started."""

import pytest

from tests.training.sweep import fakes
from training.config import config_class
from training.sweep import settings, space


def make(kind="transformer", mapping=None, changes=None, **options):
    config = space.changed(config_class(kind)(), changes or {})
    return settings.make(
        config, space.parse(mapping or {"model.dropout": {"float": [0.0, 0.5]}}, config), **options
    )


def test_the_objective_is_what_checkpoints_are_kept_by():
    sweep = make()
    assert (sweep.objective, sweep.mode) == ("val_bleu", "max")
    sweep = make(objective="val_loss", changes={"checkpoints.mode": "max", "checkpoints.best": 0})
    assert (sweep.objective, sweep.mode) == ("val_loss", "min")
    assert sweep.config.checkpoints.best == 1
    sweep = make(objective="tokens_per_second", mode="max")
    assert (sweep.objective, sweep.mode) == ("tokens_per_second", "max")
    assert make("attention_cnn").objective == "val_accuracy"


def test_hyperband_has_as_many_trials_as_it_needs():
    assert (make().max_trials, make(tuner="hyperband").max_trials) == (20, None)
    assert make(tuner="hyperband", max_trials=7).max_trials == 7


@pytest.mark.parametrize(
    "options, message",
    [
        ({"objective": "val_blue"}, "`objective` must be one of loss, .* or --mode be given. .*'val_blue'"),
        ({"objective": "val_bleu", "kind": "causal_lm"}, "that the kind causal_lm has"),
        ({"changes": {"quality.frequency": 0}}, "quality.frequency from 1"),
        ({"tuner": "grid"}, "one of random, hyperband, bayesian. Received: tuner='grid'"),
        ({"max_trials": 0}, "`max_trials` must be above 0"),
        ({"minutes": -1.0}, "`minutes` must be above 0"),
        ({"tokens": 0}, "`tokens` must be above 0"),
        ({"changes": {"checkpoints.export_best": "exported"}}, "`checkpoints.export_best` must be None"),
        ({"tuner": "hyperband", "mapping": {"fit.epochs": {"choice": [1, 2]}}}, "may not name fit.epochs"),
        ({"tuner": "hyperband", "changes": {"quality.frequency": 2}}, "must be 1 with Hyperband"),
    ],
)
def test_what_cannot_work_is_told_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as error:
        make(**options)
    assert "\n" not in str(error.value)


def test_a_sweep_is_read_from_its_folder_as_it_was_written(tmp_path):
    sweep = fakes.make("bayesian", minutes=2.5, seed=4)
    settings.enter(sweep, tmp_path / "sweep")
    assert settings.read(tmp_path / "sweep") == sweep
