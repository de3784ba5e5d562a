"""Hypermodels with keras-tuner's own tuners, on tiny dates."""

import keras
import keras_tuner
import numpy as np
import pytest
import yaml

from tests.training.conftest import TINY
from training import config as configs
from training import hypermodels
from training.sweep import space

CONFIG = configs.read(yaml.safe_load(yaml.safe_dump(TINY)))
FIELDS = space.parse(
    {"model.num_layers": {"choice": [1, 2]}, "optimizer.label_smoothing": {"float": [0.0, 0.2]}}, CONFIG
)


@pytest.mark.slow  # docs/python.md has a shorter search
def test_a_tuner_of_keras_tuner_searches_and_gives_the_best_model(tmp_path):
    model = hypermodels.TransformerHyperModel(CONFIG, FIELDS)
    tuner = keras_tuner.RandomSearch(
        model, keras_tuner.Objective("val_bleu", "max"), max_trials=2, seed=1, directory=tmp_path
    )
    tuner.search(verbose=0, steps_per_epoch=2)
    assert len(tuner.oracle.trials) == 2
    assert {trial.status for trial in tuner.oracle.trials.values()} == {"COMPLETED"}
    layers = tuner.get_best_hyperparameters()[0].get("model.num_layers")
    best = tuner.get_best_models()[0]
    assert best.get_config()["num_layers"] == layers
    ids = np.array([[5, 6, 7, 3]])
    assert np.isfinite(best({"source_ids": ids, "target_ids": ids})).all()


def test_the_values_of_a_trial_reach_model_and_loss():
    model = hypermodels.RunHyperModel(CONFIG, FIELDS)
    hp = keras_tuner.HyperParameters()
    model.declare_hyperparameters(hp)
    hp.values |= {"model.num_layers": 2, "optimizer.label_smoothing": 0.15, "tuner/epochs": 3}
    built = model.build(hp)
    assert built.get_config()["num_layers"] == 2 and built.loss.label_smoothing == 0.15
    assert isinstance(built.optimizer, keras.optimizers.Adam)
    config = model.config_of(hp)
    assert config.fit.epochs == 3 and config.data == CONFIG.data


def test_configuration_and_space_come_from_files_names_and_mappings(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(TINY))
    model = hypermodels.TransformerHyperModel(path, {"model.num_layers": {"choice": [1, 2]}})
    assert model.config == CONFIG and [field.name for field in model.space] == ["model.num_layers"]
    (tmp_path / "space.yaml").write_text("model.num_layers: {choice: [1, 2]}")
    assert hypermodels.RunHyperModel(TINY, str(tmp_path / "space.yaml")).space == model.space
    assert hypermodels.RunHyperModel("dates", "transformer").config == configs.read("dates")
    with pytest.raises(ValueError, match="nearest: model.num_layers"):
        hypermodels.RunHyperModel("dates", {"model.num_layer": {"choice": [1, 2]}})


def test_it_can_be_extended():
    class Wide(hypermodels.TransformerHyperModel):
        def declare_hyperparameters(self, hp):
            super().declare_hyperparameters(hp)
            hp.Int("width", 8, 16, step=8)

        def config_of(self, hp):
            width = hp.get("width")
            changes = {"model.hidden_dim": width, "model.intermediate_dim": 2 * width}
            return space.changed(super().config_of(hp), changes)

    hp = keras_tuner.HyperParameters()
    built = Wide(CONFIG, FIELDS).build(hp)
    assert built.get_config()["hidden_dim"] == 8 and built.get_config()["intermediate_dim"] == 16


@pytest.mark.parametrize("kind", configs.KINDS)
def test_each_kind_of_model_has_defaults_and_a_space(kind):
    model = hypermodels.RunHyperModel(kind)
    assert model.config.model.kind == kind and len(model.space) >= 7


def test_a_hypermodel_of_one_kind_takes_no_other():
    assert hypermodels.TransformerHyperModel().config.model.kind == "transformer"
    with pytest.raises(ValueError, match="must be of the kind transformer. .* kind causal_lm"):
        hypermodels.TransformerHyperModel("causal_lm")
