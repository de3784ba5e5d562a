"""A run folder with a tiny untrained model, and its export by the command, made once for all tests."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from keras_transformer import models, tokenizers

REPOSITORY = Path(__file__).resolve().parents[2]
MAX_LENGTH = 13
SENTENCES = ["3 février 1987", "March 5, 2031", "среда, 5 марта 2031 г.", "2031년 3월 5일"] * 5


# The tests set the first two; a user does not, and sees more.
SILENCERS = ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES", "PYTHONPATH")


def python(*arguments, folder=REPOSITORY, **kwargs):
    """Runs a Python of its own, as a user does; from another folder it cannot see this project."""
    environment = {name: value for name, value in os.environ.items() if name not in SILENCERS}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
        **kwargs,
    )


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """What `training.train` leaves, as far as the export reads it."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    keras.utils.set_random_seed(3)
    tokenizer = tokenizers.SentencePieceTokenizer.train(SENTENCES, vocabulary_size=307)
    model = models.Transformer(
        source_vocabulary_size=tokenizer.vocabulary_size,
        target_vocabulary_size=tokenizer.vocabulary_size,
        num_layers=1,
        hidden_dim=6,
        num_heads=2,
        intermediate_dim=11,
    )
    ids = np.ones((1, 2), "int32")
    model({"source_ids": ids, "target_ids": ids})
    # Large weights: answers that depend on the question, though nothing was learnt.
    model.set_weights([3 * weight for weight in model.get_weights()])
    (folder / "tokenizer").mkdir(parents=True)
    tokenizer.save(folder / "tokenizer" / "source")
    tokenizer.save(folder / "tokenizer" / "target")
    model.save(folder / "model.keras")
    config = yaml.safe_dump({"data": {"max_length": MAX_LENGTH}})
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def export_command(run_folder, tmp_path_factory):
    """The finished command `python -m serving.export`, and the folder it wrote to."""
    output = tmp_path_factory.mktemp("exports") / "dates"
    arguments = ["-m", "serving.export", "--run", run_folder, "--output", output]
    return python(*arguments, text=True), output


@pytest.fixture(scope="session")
def exported(export_command):
    """The exported version's folder."""
    command, output = export_command
    assert command.returncode == 0, command.stderr
    return output / "1"
