"""Spaces: what a file may say, and what is told of a mistake in it."""

import math
from dataclasses import asdict
from pathlib import Path

import keras_tuner
import pytest

from training.config import KINDS, config_class, read
from training.sweep import space

CONFIG = config_class("transformer")()
MAPPING = {
    "model.num_layers": {"choice": [2, 3]},
    "model.hidden_dim": {"int": [128, 512], "step": 128},
    "optimizer.peak": {"float": ["1e-4", 1], "sampling": "log"},  # YAML takes 1e-4 for a text
    "model.dropout": {"float": [0, 0.4], "step": 0.1},
    "model.norm_first": {"boolean": True},
    "optimizer.clip_norm": {"choice": [None, 1]},
    "fit.freeze": {"choice": [[], ["encoder"]]},
    "tokenizer.source.vocabulary_size": {"choice": [4000, 8000]},
    "optimizer.schedule": {"choice": ["cosine", "transformer"]},
}


def test_every_kind_of_field_can_be_drawn_and_put_into_the_configuration():
    fields = space.parse(MAPPING, CONFIG)
    assert space.parse(space.as_mapping(fields), CONFIG) == fields
    seen = {field.name: set() for field in fields}
    for seed in range(40):
        hp = keras_tuner.HyperParameters()
        for field in fields:
            field.declare(hp)
        for drawn in hp.space:
            hp.values[drawn.name] = drawn.random_sample(100 * seed)
        hp = keras_tuner.HyperParameters.from_proto(hp.to_proto())  # what reaches a worker
        values = {field.name: field.value(hp.get(field.name)) for field in fields}
        config = space.changed(CONFIG, values)
        assert config.tokenizer.source.vocabulary_size == values["tokenizer.source.vocabulary_size"]
        assert config.model.kind == "transformer" and config.fit.epochs == CONFIG.fit.epochs
        for name, value in values.items():
            seen[name].add(repr(value))
    peaks = [float(value) for value in seen.pop("optimizer.peak")]
    assert min(peaks) < 1e-3 and max(peaks) > 0.1 and 1e-4 <= min(peaks) <= max(peaks) <= 1.0
    assert {float(f"{peak:.4g}") for peak in peaks} == set(peaks)
    assert seen == {
        "model.num_layers": {"2", "3"},
        "model.hidden_dim": {"128", "256", "384", "512"},
        "model.dropout": {"0.0", "0.1", "0.2", "0.3", "0.4"},
        "model.norm_first": {"False", "True"},
        "optimizer.clip_norm": {"None", "1.0"},
        "fit.freeze": {"[]", "['encoder']"},
        "tokenizer.source.vocabulary_size": {"4000", "8000"},
        "optimizer.schedule": {"'cosine'", "'transformer'"},
    }


@pytest.mark.parametrize(
    "mapping, message",
    [
        (None, "must name fields"),
        ([], "must name fields"),
        ({"model.num_layer": {"choice": [1, 2]}}, "Received: model.num_layer, nearest: model.num_layers"),
        ({"model": {"choice": [1, 2]}}, "Received: model,"),
        ({3: {"choice": [1, 2]}}, "Received: 3"),
        ({"model.kind": {"choice": ["transformer", "causal_lm"]}}, "may not name model.kind"),
        ({"checkpoints.monitor": {"choice": ["a", "b"]}}, "may not name checkpoints.monitor: --objective"),
        ({"model.num_layers": {"choice": [1, "a"]}}, "`model.num_layers` cannot be 'a'"),
        ({"model.num_layers": {"float": [0.5, 2]}}, "`model.num_layers` cannot be 0.5"),
        ({"model.num_layers": {"float": [1, 2]}}, "must be a range of floats. Received: 1"),
        ({"model.dropout": {"int": [0, 1]}}, "must be a range of ints. Received: 0.0"),
        ({"model.dropout": {"boolean": True}}, "`model.dropout` cannot be False"),
        ({"optimizer.schedule": {"choice": ["cosine", "sine"]}}, "cannot be 'sine'"),
        ({"model.dropout": {"float": [0.4, 0.1]}}, r"begin with the smaller value. Received: \[0.4, 0.1\]"),
        ({"model.dropout": {"float": [math.nan, 0.1]}}, "range of floats. Received: nan"),
        ({"model.dropout": {"float": [0.0, 0.1], "sampling": "log"}}, "above 0 for a sampling of log"),
        ({"model.dropout": {"float": [0.1, 0.2], "sampling": "cubic"}}, "sampling='cubic'"),
        ({"model.dropout": {"float": [0.1, 0.2], "step": 0}}, "a step above 0. Received: step=0"),
        ({"model.hidden_dim": {"int": [64, 512], "step": 1, "sampling": "log"}}, "a factor above 1"),
        ({"model.dropout": {"float": [0.1, 0.2], "step": "x"}}, "range of floats. Received: 'x'"),
        ({"model.dropout": {"float": [0.1]}}, "the smallest and the largest"),
        ({"model.dropout": {"choice": [0.1]}}, "two values or more"),
        ({"model.dropout": {"choice": [0.1, 0.1]}}, "different values"),
        ({"model.dropout": {"float": [0.1, 0.2], "steps": 1}}, "must be one of {choice"),
        ({"model.dropout": {"choice": [0.1, 0.2], "step": 1}}, "must be one of {choice"),
        ({"model.dropout": 0.1}, "must be one of {choice"),
    ],
)
def test_a_mistake_is_told_in_one_line(mapping, message):
    with pytest.raises(ValueError, match=message) as error:
        space.parse(mapping, CONFIG)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_yaml_is_told_by_name(tmp_path):
    path = tmp_path / "space.yaml"
    for text in ("model.dropout: {float: [0.1", "model.dropout: 3"):
        path.write_text(text)
        with pytest.raises(ValueError, match="space.yaml"):
            space.read(path, CONFIG)


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_space_for_every_kind_of_model(kind):
    folder = Path(space.__file__).parents[1] / "spaces"
    config = config_class(kind)()
    fields = space.read(folder / f"{kind}.yaml", config)
    assert len(fields) >= 7
    hp = keras_tuner.HyperParameters()
    for field in fields:
        field.declare(hp)
    drawn = {
        field.name: field.value(field_hp.random_sample(5))
        for field, field_hp in zip(fields, hp.space, strict=True)
    }
    assert read(asdict(space.changed(config, drawn))) == space.changed(config, drawn)
    assert {path.stem for path in folder.iterdir()} == set(KINDS)
