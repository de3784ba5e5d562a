"""What is settled before a training: trials are scripted here, but for a few."""

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tests.training.conftest import TINY
from training import fitting, pipeline, plan, train, trial
from training.run_config import FitConfig
from training.tasks.translation import DataConfig, TransformerConfig, Translation, TranslationConfig

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"source_vocabulary_size": 19, "target_vocabulary_size": 17, "is_joint": False}
TINY_MODEL = TransformerConfig(num_layers=1, hidden_dim=8, num_heads=2, intermediate_dim=11)
CONFIG = TranslationConfig(
    data=DataConfig(max_length=10, batch_tokens=57),
    model=TINY_MODEL,
    fit=FitConfig(num_micro_batches="auto"),
)


def task_of(config):
    """A task whose tokenizers are known by their sizes alone."""
    task = Translation(config)
    sides = {"source": 19, "target": 17}
    task.tokenizers = {side: SimpleNamespace(vocabulary_size=size) for side, size in sides.items()}
    assert task.sizes == SIZES
    return task


@pytest.fixture
def scripted(monkeypatch):
    """Makes trials answer by a function of the step, and lists the steps that were tried."""
    tried = []

    def script(answer):
        def run(config, step, memory_limit=None):
            tried.append(step)
            return answer(step)

        monkeypatch.setattr(trial, "run", run)
        return tried

    return script


def cost(seconds=1.0, first_seconds=10.0):
    return trial.Cost(seconds, first_seconds, memory=3 << 20, num_parameters=1234)


def test_micro_batches_are_doubled_until_they_fit(scripted):
    tried = scripted(lambda step: cost() if step.shape[0] // step.num_micro_batches <= 2 else None)
    assert plan.find_num_micro_batches(task_of(CONFIG)) == 4
    # 57 // 10 rows, rounded up to whole micro-batches.
    assert [(step.shape, step.num_micro_batches) for step in tried] == [
        ((5, 10, 10), 1),
        ((6, 10, 10), 2),
        ((8, 10, 10), 4),
    ]


def test_what_does_not_fit_row_by_row_is_refused(scripted):
    tried = scripted(lambda step: None)
    with pytest.raises(ValueError, match="1 x 10 x 10"):
        plan.find_num_micro_batches(task_of(CONFIG))
    assert tried[-1].num_micro_batches == 8 and tried[-1].shape[0] == 8


def test_a_given_number_is_not_tried(scripted):
    tried = scripted(lambda step: None)
    config = TranslationConfig(fit=FitConfig(num_micro_batches=3))
    assert plan.find_num_micro_batches(task_of(config)) == 3
    assert not tried


class Batches:
    """Two shapes, the second with more batches."""

    shapes = [pipeline.Shape((4, 3, 4), 2, 16), pipeline.Shape((3, 5, 6), 3, 18)]

    def __len__(self):
        return 5


@pytest.mark.parametrize(
    ("steps", "seconds_with_xla", "expected"),
    [
        (plan.LONG_TRAINING - 1, 0.1, False),  # too short to be tried
        (6000, 0.99, True),  # wins 60 s of 2 x 20
        (6000, 0.994, False),  # wins 36 s of 2 x 20
        (6000, 1.1, False),
    ],
)
def test_xla_is_on_where_a_cpu_wins_its_compiling_back(scripted, steps, seconds_with_xla, expected):
    tried = scripted(lambda step: cost(seconds_with_xla, 20.0) if step.jit_compile else cost(1.0))
    assert plan.choose_jit_compile(task_of(TranslationConfig()), Batches(), steps, 1) == expected
    assert {step.shape for step in tried} <= {(3, 5, 6)}


@pytest.mark.parametrize(("choice", "expected"), [("on", True), ("off", False)])
def test_a_given_choice_of_xla_is_not_tried(scripted, choice, expected):
    tried = scripted(lambda step: None)
    config = TranslationConfig(fit=FitConfig(jit_compile=choice))
    assert plan.choose_jit_compile(task_of(config), Batches(), 10**6, 1) == expected
    assert not tried


def test_gpus_compile(scripted, monkeypatch):
    scripted(lambda step: None)
    monkeypatch.setattr(plan.tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    assert plan.choose_jit_compile(task_of(TranslationConfig()), Batches(), 1, 1)


def test_a_dry_run_tells_and_trains_nothing(scripted, tiny_config, tmp_path, capsys):
    scripted(lambda step: cost(60.0))
    output = tmp_path / "run"
    train.main(
        ["--config", tiny_config, "--dry_run", "--output", str(output), "--fit.num_micro_batches", "4"]
    )
    assert not output.exists()
    page = capsys.readouterr().out
    rows = TINY.get("batch_tokens", 4096) // 48
    rows += -rows % 4
    steps = -(-300 // rows)
    assert "parameters  1,234\n" in page
    assert f"steps       {steps}: 1 epochs of {steps}; a pass over the data has {steps}\n" in page
    assert "precision   float32, XLA off, 4 micro-batches\n" in page
    assert f"            {rows} x 48 x 48: {steps}\n" in page
    assert "memory      3 MiB" in page
    assert f"time        about {steps} min: 60.000 s for a step of {rows} x 48 x 48," in page


def test_a_dry_run_says_what_does_not_fit(scripted, tiny_config, tmp_path, capsys):
    scripted(lambda step: None)
    train.main(["--config", tiny_config, "--dry_run", "--output", str(tmp_path / "run")])
    assert "NOT ENOUGH" in capsys.readouterr().out


def test_what_was_settled_is_kept_by_a_resumed_training(scripted, tmp_path):
    settled = plan.Plan(num_micro_batches=4, jit_compile=True)
    settled.write(tmp_path)
    assert plan.Plan.read(tmp_path) == settled


def test_micro_batches_reach_the_training(scripted, tiny_config, tmp_path, monkeypatch):
    scripted(lambda step: cost() if step.num_micro_batches == 2 else None)
    settled = []

    def stopped(start, data, model, epoch):
        written = json.loads((start.output / "plan.json").read_text())
        settled.extend([written["num_micro_batches"], model.num_micro_batches])
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting.fit, "fit", stopped)
    given = ["--config", tiny_config, "--output", str(tmp_path / "run"), "--data.num_examples", "40"]
    with pytest.raises(KeyboardInterrupt):
        train.main([*given, "--fit.num_micro_batches", "auto"])
    assert settled == [2, 2]


@pytest.mark.usefixtures("starts_warm")
def test_a_trial_measures():
    measured = trial.run(TranslationConfig(model=TINY_MODEL), trial.Step(SIZES, shape=(4, 5, 6)))
    assert 0 < measured.seconds < measured.first_seconds
    assert measured.memory > 100 << 20
    assert measured.num_parameters > 1000


@pytest.mark.slow
@pytest.mark.usefixtures("starts_warm")
def test_a_trial_survives_the_end_of_the_memory():
    # Scores of 4 GiB.
    step = trial.Step(SIZES, shape=(8, 8192, 8192))
    assert trial.run(TranslationConfig(model=TINY_MODEL), step, memory_limit=1 << 30) is None


@pytest.mark.usefixtures("starts_warm")
def test_a_trial_of_an_impossible_model_says_why():
    config = TranslationConfig(model=TransformerConfig(hidden_dim=15, num_heads=2))
    with pytest.raises(ValueError, match="hidden_dim=15, num_heads=2"):
        trial.run(config, trial.Step(SIZES, shape=(4, 5, 6)))


@pytest.mark.slow
def test_xla_compiles_no_more_programs_than_there_are_shapes(tmp_path, warm_python):
    """Counted in what XLA itself writes: one file for each program that it compiles."""
    path = tmp_path / "config.yaml"
    data = {**TINY["data"], "num_examples": 60, "bucket_boundaries": [30, 48], "batch_tokens": 600}
    fit = {"epochs": 1, "jit_compile": "on"}
    path.write_text(yaml.safe_dump({**TINY, "data": data, "fit": fit, "quality": {"frequency": 0}}))
    environment = {**os.environ, "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_dump_to={tmp_path / 'xla'}"}
    command = [warm_python, "-m", "training.train", "--config", path, "--output", tmp_path / "run"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    names = [file.name for file in (tmp_path / "xla").glob("*one_step_on_data*.before_optimizations.txt")]
    # Two shapes for the training step, and at most two for the validation step.
    assert 2 <= len(names) <= 4
