"""What may be asked of the checkpoints, and what a training is told that cannot give it."""

import json
from dataclasses import replace

import pytest

from keras_transformer.callbacks import EarlyStopping, KeepCheckpoints
from training import checkpointing
from training.run_config import CheckpointsConfig, FitConfig, QualityConfig
from training.tasks.translation import TranslationConfig


def config(frequency=1, epochs=3, **options):
    return TranslationConfig(
        checkpoints=CheckpointsConfig(**options),
        quality=QualityConfig(frequency=frequency),
        fit=FitConfig(epochs=epochs),
    )


@pytest.mark.parametrize(
    ("monitor", "expected"),
    [("val_bleu", "max"), ("val_loss", "min"), ("perplexity", "min"), ("val_token_accuracy", "max")],
)
def test_what_is_good_follows_from_the_monitor(monitor, expected):
    assert checkpointing.mode(CheckpointsConfig(monitor=monitor)) == expected


def test_what_is_good_may_be_said():
    assert checkpointing.mode(CheckpointsConfig(monitor="val_loss", mode="max")) == "max"
    assert checkpointing.mode(CheckpointsConfig(monitor="val_mine", mode="min")) == "min"
    with pytest.raises(ValueError, match="val_bleu, .*Received: checkpoints.monitor='val_blue'"):
        checkpointing.mode(CheckpointsConfig(monitor="val_blue"))


@pytest.mark.parametrize(
    ("options", "has_validation"),
    [
        ({}, False),  # the best are empty then
        ({"frequency": 0}, True),
        ({"average": "last", "last": 2, "frequency": 0}, False),
        ({"average": "best", "monitor": "loss"}, False),
        ({"patience": 1, "monitor": "val_loss", "frequency": 0}, True),
        ({"average": "best", "patience": 1, "export_best": "out"}, True),
    ],
)
def test_what_can_be_given_is_accepted(options, has_validation):
    checkpointing.check(config(**options), has_validation)


@pytest.mark.parametrize(
    ("options", "has_validation", "message"),
    [
        ({"last": 0}, True, "last=0"),
        ({"patience": 0}, True, "checkpoints.patience=0"),
        ({"average": "last"}, True, "checkpoints.last=1"),
        ({"average": "best", "best": 0}, True, "average best` needs checkpoints.best"),
        ({"export_best": "out", "best": 0}, True, "export_best` needs checkpoints.best"),
        ({"average": "best"}, False, "average best` needs validation data"),
        ({"patience": 1, "monitor": "val_loss"}, False, "patience` needs validation data"),
        ({"patience": 1, "frequency": 0}, True, "patience` needs translations .*frequency=0"),
        ({"export_best": "out", "frequency": 4}, True, "export_best` needs translations .*frequency=4"),
        ({"monitor": "val_blue"}, True, "val_blue"),
    ],
)
def test_what_cannot_be_given_is_refused(options, has_validation, message):
    with pytest.raises(ValueError, match=message):
        checkpointing.check(config(**options), has_validation)


def test_the_callbacks_come_in_the_order_in_which_they_need_each_other(tmp_path):
    options = CheckpointsConfig(last=2, best=3, monitor="val_loss", export_best="out", patience=4)
    keep, export, stop = checkpointing.make_callbacks(options, tmp_path)
    assert isinstance(keep, KeepCheckpoints) and isinstance(stop, EarlyStopping)
    assert (keep.last, keep.best, keep.monitor, keep.mode) == (2, 3, "val_loss", "min")
    assert (stop.patience, stop.monitor, stop.mode) == (4, "val_loss", "min")
    assert export.output.name == "out"
    assert len(checkpointing.make_callbacks(replace(options, export_best=None, patience=None), tmp_path)) == 1


def test_where_no_epoch_had_a_score_the_last_weights_remain(tmp_path, capsys):
    (tmp_path / "checkpoints").mkdir()
    index = {"monitor": "val_loss", "mode": "min", "checkpoints": [{"file": "a.keras", "score": None}]}
    (tmp_path / "checkpoints" / "index.json").write_text(json.dumps(index))
    model = object()
    options = CheckpointsConfig(average="best", monitor="val_loss")
    assert checkpointing.final_model(model, options, tmp_path) is model
    assert "no epoch had a val_loss" in capsys.readouterr().out
