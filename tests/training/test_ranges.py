"""Numbers that no training can have are refused by name, before anything is read."""

import dataclasses
import math
import typing

import pytest

from training import tune
from training.config import KINDS, check, config_class, ranges
from training.sweep.space import changed, names
from training.tasks.translation import CorpusConfig

BAD = {
    "optimizer.peak": [math.inf, math.nan, -1.0, 0.0],
    "optimizer.scale": [0.0, math.nan],
    "optimizer.beta_1": [1.0, -0.1, math.nan],
    "optimizer.beta_2": [1.5, 1.0],
    "optimizer.epsilon": [0.0, -1e-9, math.inf],
    "optimizer.clip_norm": [0.0, -1.0, math.nan],
    "optimizer.ema_momentum": [1.0, -0.5],
    "optimizer.label_smoothing": [1.0, -0.1],
    "optimizer.warmup_steps": [0],
    "fit.steps_per_epoch": [0, -1],
    "fit.num_micro_batches": [0],
    "fit.num_devices": [0],
    "fit.epochs": [0],
    "fit.seed": [-1, 2**32],
    "checkpoints.patience": [0],
    "quality.num_pairs": [0],
    "data.batch_tokens": [0],
    "data.bucket_boundaries": [[8, 0]],
    "tokenizer.source.vocabulary_size": [0],
    "model.hidden_dim": [0, 100_000_000_000],
    "model.num_layers": [-1, 100_000],
    "model.dropout": [1.0],
}


@pytest.mark.parametrize("name", BAD)
def test_a_value_out_of_range_is_refused_with_its_name(name):
    config = config_class("transformer")()
    for value in BAD[name]:
        with pytest.raises(ValueError, match=f"^`{name}` must be .*. Received: {name}="):
            check(changed(config, {name: value}))


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_of_a_configuration_has_a_range_and_its_default_is_inside(kind):
    config = config_class(kind)()
    check(config)
    for name in names(config):
        *path, last = name.split(".")
        part = config
        for step in path:
            part = getattr(part, step)
        types = typing.get_type_hints(type(part))[last]
        if {int, float} & {types, *typing.get_args(types)} and typing.get_origin(types) is not list:
            assert name in ranges.RANGES, f"{name}: say its range"


def test_the_corpora_beside_the_main_one_count_too():
    config = config_class("transformer")()
    also = [CorpusConfig("dates", weight=math.inf)]
    with pytest.raises(ValueError, match=r"data.also\[0\].weight=inf"):
        check(dataclasses.replace(config, data=dataclasses.replace(config.data, also=also)))


def test_a_sweep_refuses_a_space_that_leaves_the_range(fails, tiny_config, tmp_path):
    (tmp_path / "space.yaml").write_text("optimizer.beta_2: {float: [0.9, 1.5]}\n")
    arguments = ["--config", tiny_config, "--space", tmp_path / "space.yaml", "--output", tmp_path / "sweep"]
    assert "optimizer.beta_2=1.5" in fails(tune.main, *arguments)
    assert not (tmp_path / "sweep").exists()
