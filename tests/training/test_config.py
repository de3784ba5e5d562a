"""Which fields belong to which kind of model."""

import dataclasses
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from training import config as configs
from training import tasks, train
from training.tasks.transformer_layers import TransformerLayersConfig, text_encoder

FILES = sorted((Path(train.__file__).parent / "configs").glob("*.yaml"))

# Kinds whose layers are those of a `TextEncoder`.
ENCODERS = ("masked_lm", "tagger")


@pytest.mark.parametrize("kind", configs.KINDS)
def test_a_configuration_is_read_as_it_was_written(kind):
    config = configs.config_class(kind)()
    assert config.model.kind == kind
    written = yaml.safe_dump(asdict(config))
    assert configs.read(yaml.safe_load(written)) == config


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_file_of_the_package_can_be_read(path):
    given = yaml.safe_load(path.read_text())
    config = asdict(configs.read(given))
    for part, values in given.items():
        for name, value in values.items():
            assert config[part][name] == value or isinstance(value, dict)


def test_a_file_that_comes_along_is_found_by_its_name_from_any_folder(tmp_path, monkeypatch, fails):
    monkeypatch.chdir(tmp_path)
    assert configs.read("dates") == configs.read(FILES[0].parent / "dates.yaml")
    assert configs.kind_of(["--config", "scenes"]) == "image_captioner"
    (tmp_path / "dates").write_text("fit: {epochs: 17}")  # what the user has comes first
    assert configs.read("dates").fit.epochs == 17
    told = fails(train.main, "--config", "nothing")
    assert "one of ours: dates, fashion_mnist, " in told and "Received: nothing." in told


def test_a_field_that_is_not_there_is_an_exception_and_no_exit():
    # A notebook would end.
    with pytest.raises(ValueError, match=r"'num_layer'. Nearest: model.num_layers, [\w., ]*$"):
        configs.read({"model": {"num_layer": 3}})
    with pytest.raises(ValueError, match="fit.epochs"):
        configs.read({"fit": {"epochs": "many"}})


def test_all_kinds_have_a_file():
    kinds = {yaml.safe_load(path.read_text())["model"].get("kind", "transformer") for path in FILES}
    assert kinds == set(configs.KINDS)


def test_the_last_kind_counts(tmp_path):
    (tmp_path / "a.yaml").write_text("model: {kind: causal_lm}")
    (tmp_path / "b.yaml").write_text("fit: {epochs: 1}")
    a, b = str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")
    assert configs.kind_of([]) == "transformer"
    assert configs.kind_of(["--config", a, "--config", b]) == "causal_lm"
    assert configs.kind_of(["--model.kind", "rnn_seq2seq", f"--config={a}"]) == "causal_lm"
    assert configs.kind_of(["--config", a, "--model.kind=attention_cnn"]) == "attention_cnn"


def test_a_kind_or_a_field_that_is_not_there_is_told_in_one_line(fails):
    assert "rnn_seq2seq, conv_seq2seq" in fails(train.main, "--data.name", "dates", "--model.kind", "rnn")
    given = ("--data.name", "dates", "--model.kind")
    assert "model.kind" in fails(train.main, *given)
    message = fails(train.main, *given, "rnn_seq2seq", "--model.num_heads", "2")
    assert "model.num_heads" in message and "Nearest: model.num_layers" in message
    assert "quality" in fails(train.main, *given, "causal_lm", "--quality.frequency", "2")


def test_defaults_fit_the_task():
    language_model = configs.config_class("causal_lm")()
    assert language_model.checkpoints.monitor == "val_loss"
    assert language_model.optimizer.label_smoothing == 0
    # What a file says of a part leaves the part's other defaults alone.
    read = configs.read({"model": {"kind": "causal_lm"}, "checkpoints": {"last": 3}})
    assert read.checkpoints.monitor == "val_loss" and read.checkpoints.last == 3
    assert configs.config_class("transformer")().optimizer.label_smoothing == 0.1


@pytest.mark.parametrize("kind", ["transformer", "causal_lm", *ENCODERS])
def test_the_layers_of_a_transformer_are_told_as_in_the_library(kind):
    from keras_transformer import layers, models
    from keras_transformer.layers.layer_config import FIELDS, LayerConfig

    names = {field.name for field in dataclasses.fields(TransformerLayersConfig)}
    assert names == set(FIELDS)
    made = {"transformer": models.Transformer, "causal_lm": models.CausalLM}
    made |= dict.fromkeys(ENCODERS, layers.TextEncoder)
    default = LayerConfig(**made[kind].layer_defaults).get_config()
    model = configs.config_class(kind)().model
    assert {name: getattr(model, name) for name in FIELDS} == default


@pytest.mark.parametrize("kind", ["transformer", "causal_lm", *ENCODERS])
@pytest.mark.parametrize("positions", [None, "learned", "alibi", {"name": "rotary", "layout": "halves"}])
def test_a_configuration_chooses_positions(kind, positions):
    sizes = {"num_layers": 1, "hidden_dim": 8, "num_heads": 2, "intermediate_dim": 5}
    given = {"kind": kind, **sizes, "positions": positions, "activation": "swiglu", "num_key_value_heads": 1}
    config = configs.read({"model": given})
    assert config.model.positions == positions
    task = tasks.of(kind)(config)
    model = task.make_model(task.likely_sizes())
    encoder = model.encoder if kind in ENCODERS else model
    assert encoder.config.positions == positions and encoder.config.num_key_value_heads == 1
    found = {"transformer": "source_positions"}.get(kind, "positions")
    learned = positions == "learned" or kind in ENCODERS and positions is None
    assert hasattr(getattr(encoder, found), "max_length") == learned


def test_an_encoder_has_no_fewer_positions_than_the_data_asks_for():
    sizes = {"num_layers": 1, "hidden_dim": 4, "num_heads": 2, "intermediate_dim": 3}
    made = text_encoder(5, 3, max_length=4, num_segments=2, **sizes)
    assert (made.max_length, made.num_segments) == (4, 2)
    assert text_encoder(5, 3, num_segments=1, **sizes).max_length == 3
    with pytest.raises(ValueError, match="must be at least the 5 tokens that the data asks for. Received"):
        text_encoder(5, 5, max_length=4, num_segments=1, **sizes)


def test_numbers_of_layers_are_in_their_ranges(fails):
    for name in ("sliding_window", "num_key_value_heads"):
        assert f"`model.{name}` must be" in fails(train.main, "--config", "dates", f"--model.{name}", "0")
    assert "model.normalization" in fails(
        train.main, "--config", "dates", "--model.normalization", "batch_norm"
    )


def test_a_captioner_has_the_fields_of_its_decoder():
    sizes = {"kind": "image_captioner", "num_layers": 1, "hidden_dim": 8, "filters": [2, 3]}

    def make(**given):
        task = tasks.make(configs.read({"model": {**sizes, **given}}))
        return task.make_model(task.likely_sizes())

    model = make(positions="rotary", num_key_value_heads=1, activation="swiglu", normalization="rms_norm")
    chosen = model.decoder.config
    assert (chosen.positions, chosen.num_key_value_heads, chosen.activation) == ("rotary", 1, "swiglu")
    assert make().decoder.config == make(num_heads=4, intermediate_dim=32).decoder.config
    assert make(decoder="gru", dropout=0.3).dropout == 0.3
    with pytest.raises(ValueError, match="`qk_norm` must be None where decoder='gru'"):
        make(decoder="gru", qk_norm="rms_norm")
