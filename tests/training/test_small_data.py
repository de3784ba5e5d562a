"""What is too large for the data is fitted to it, with a line that says so."""

import math

import keras
import pytest

from keras_transformer.schedules import CosineSchedule, TransformerSchedule
from training import checkpointing, compiling, fitting, train
from training.config.files import CONFIGS
from training.run_config import OptimizerConfig, TokenizerConfig
from training.tasks.tokenizing import train_tokenizer

WORDS = "eins zwei drei vier fuenf sechs sieben acht neun zehn elf zwoelf".split()


def pairs(count):
    numbers = range(count)
    return [f"{WORDS[n % 12]} und {WORDS[n // 12 % 12]}\t{n % 12} + {n // 12 % 12}\n" for n in numbers]


def test_the_shipped_configuration_trains_on_few_pairs(tmp_path, monkeypatch, capsys):
    (tmp_path / "train.tsv").write_text("".join(pairs(144)))
    # Everything but the steps themselves.
    models = []
    monkeypatch.setattr(fitting.fit, "fit", lambda start, data, model, epoch: models.append(model))
    monkeypatch.setattr(checkpointing, "final_model", lambda model, *arguments: model)
    config = CONFIGS / "parallel_text.yaml"
    given = ["--config", str(config), "--data.train", str(tmp_path / "train.tsv")]
    train.main([*given, "--output", str(tmp_path / "run")])
    printed = capsys.readouterr().out
    assert "tokenizer.source.vocabulary_size: " in printed and "for 8,000" in printed
    assert "optimizer.warmup_steps: " in printed and "within 200" in printed
    rate = models[0].optimizer.get_config()["learning_rate"]["config"]
    assert rate["warmup_steps"] < rate["total_steps"] < 200
    assert (tmp_path / "run" / "model.keras").exists()


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_vocabulary_is_no_larger_than_the_texts_allow(kind, capsys):
    sentences = [side for pair in pairs(99) for side in pair.strip().split("\t")]
    tokenizer = train_tokenizer(TokenizerConfig(kind=kind, vocabulary_size=8000), sentences)
    size = tokenizer.vocabulary_size
    assert 290 < size < 500
    assert f"tokenizer.vocabulary_size: {size}, all that the data has, for 8,000" in capsys.readouterr().out
    train_tokenizer(TokenizerConfig(kind=kind, vocabulary_size=size), sentences)
    assert not capsys.readouterr().out


def test_one_that_is_too_small_names_the_field():
    with pytest.raises(ValueError, match=r"`tokenizer.target.vocabulary_size` must be at least 2\d\d "):
        train_tokenizer(TokenizerConfig(vocabulary_size=100), ["some words"], "tokenizer.target")


@pytest.mark.parametrize("schedule", ["transformer", "inverse_square_root", "cosine"])
@pytest.mark.parametrize("total_steps", [1, 2, 60, 4000])
def test_a_warm_up_that_is_too_long_is_shortened_and_keeps_the_largest_rate(schedule, total_steps, capsys):
    config = OptimizerConfig(schedule=schedule)
    rate = compiling.make_schedule(config, 512, total_steps)
    assert rate.warmup_steps == max(1, total_steps // 10)
    assert "optimizer.warmup_steps" in capsys.readouterr().out
    if schedule != "cosine" or total_steps > 2:
        whole = compiling.make_schedule(config, 512, 10_000)
        assert math.isclose(float(rate(rate.warmup_steps - 1)), float(whole(3999)), rel_tol=1e-5)
    assert "optimizer" not in capsys.readouterr().out


def test_more_steps_stretch_a_cosine_and_leave_the_others():
    for before, after in [(CosineSchedule(0.1, 5, 20), 40), (TransformerSchedule(8, 5), None)]:
        for wrap in (lambda inner: inner, keras.optimizers.LossScaleOptimizer):
            optimizer = wrap(keras.optimizers.Adam(before))
            compiling.lengthen(optimizer, 40)
            config = getattr(optimizer, "inner_optimizer", optimizer).get_config()["learning_rate"]["config"]
            assert config.get("total_steps") == after and config["warmup_steps"] == 5
            compiling.lengthen(optimizer, 30)  # and no fewer
            assert config.get("total_steps") == after
