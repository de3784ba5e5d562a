"""A run folder with a tiny untrained model, and its export by the command, made once for all tests."""

import base64
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from benchmarks.serving_double import Double, model_config, server_config, write_version
from command_line.search_options import SearchOptions
from keras_transformer import models, tokenizers
from keras_transformer.pipelines import translator_signatures as signatures
from keras_transformer.pipelines.translator import Translator
from keras_transformer.special_ids import END_ID, PAD_ID
from serving.limits import Limits

REPOSITORY = Path(__file__).resolve().parents[2]
C_API = Path(__file__).with_name("c_api.py")
MAX_LENGTH = 13
NUM_RESULTS = 3
SENTENCES = ["3 février 1987", "March 5, 2031", "среда, 5 марта 2031 г.", "2031년 3월 5일"] * 5


# The tests set the first two; a user does not, and sees more.
SILENCERS = ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES", "PYTHONPATH")


def python(*arguments, folder=REPOSITORY, program=None, **kwargs):
    """Runs a Python of its own, as a user does; from another folder it cannot see this project.

    Its `program` may be the fixture `warm_python`.
    """
    environment = {name: value for name, value in os.environ.items() if name not in SILENCERS}
    return subprocess.run(
        [program or sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
        **kwargs,
    )


def through_c_api(folder, requests, tmp_path, libraries=("_sentencepiece_tokenizer.so",), options=()):
    """Runs c_api.py with op libraries of tensorflow_text; requests are (signature, inputs)."""
    text_ops = Path(importlib.util.find_spec("tensorflow_text").origin).parent / "python" / "ops"
    paths = [text_ops / library for library in libraries]
    return python("-I", C_API, folder, *options, *paths, folder=tmp_path, input=as_lines(requests))


def as_lines(requests):
    """Requests (signature, inputs) in JSON, a line each; bytes as {"b64": "..."}."""

    def encoded(x):
        return {"b64": base64.b64encode(x).decode()}

    lines = [json.dumps({"signature": name, "inputs": inputs}, default=encoded) for name, inputs in requests]
    return "\n".join(lines).encode()


def ask(function, inputs):
    """A signature's answer, {output: nested list}, with strings as str."""
    numbers = {"source_ids", "seed"}
    given = {name: tf.constant(x, tf.int32 if name in numbers else tf.string) for name, x in inputs.items()}
    return plain(function(**given))


def plain(answer):
    """Tensors -> nested lists, with strings as str."""
    answer = {name: x.numpy().tolist() for name, x in answer.items()}
    return tf.nest.map_structure(lambda x: x.decode("utf-8") if isinstance(x, bytes) else x, answer)


def same(answers, expected):
    """Whether answers, {output: nested list}, are equal, numbers to 1e-4."""
    return all(
        answer.keys() == wanted.keys()
        and all(
            np.allclose(answer[key], wanted[key], atol=1e-4)
            if np.asarray(wanted[key]).dtype.kind == "f"
            else answer[key] == wanted[key]
            for key in wanted
        )
        for answer, wanted in zip(answers, expected, strict=True)
    )


QUESTIONS = ["3 février 1987", "2031년 3월 5일", "March", "", "ａ \u202e\u0000 🙂", "5 " * 40, "5"]
ANSWERS = ["1987-02-03", "", "7", "12", "� 3", "--" * 30, "5"]
# A request for each signature: its name, and {input: nested list}.
REQUESTS = [
    ("serving_default", {"text": QUESTIONS}),
    ("translate", {"text": QUESTIONS}),
    ("translate_nbest", {"text": QUESTIONS}),
    ("score", {"source": QUESTIONS, "target": ANSWERS}),
    ("align", {"text": QUESTIONS}),
    ("tokens", {"source_ids": [[7, 11, 5, END_ID], [13, END_ID, PAD_ID, PAD_ID]]}),
]


@pytest.fixture(scope="session")
def run_folder(made_once):
    """What `training.train` leaves, as far as the export reads it."""
    return made_once("to_be_exported", make_run)


def make_run(folder):
    """Writes a run whose answers depend on the question."""
    keras.utils.set_random_seed(20)
    source_tokenizer = tokenizers.SentencePieceTokenizer.train(SENTENCES, vocabulary_size=307)
    # A text has one spelling in characters: what was decoded can be scored again.
    target_tokenizer = tokenizers.CharacterTokenizer("code_points", "0123456789-")
    model = models.Transformer(
        source_vocabulary_size=source_tokenizer.vocabulary_size,
        target_vocabulary_size=target_tokenizer.vocabulary_size,
        num_layers=1,
        hidden_dim=14,
        num_heads=2,
        intermediate_dim=11,
    )
    ids = np.ones((1, 2), "int32")
    model({"source_ids": ids, "target_ids": ids})
    # Large weights: answers that depend on the question, though nothing was learnt.
    model.set_weights([3 * weight for weight in model.get_weights()])
    (folder / "tokenizer").mkdir(parents=True)
    source_tokenizer.save(folder / "tokenizer" / "source")
    target_tokenizer.save(folder / "tokenizer" / "target")
    model.save(folder / "model.keras")
    config = yaml.safe_dump({"data": {"max_length": MAX_LENGTH}})
    (folder / "config.yaml").write_text(config, encoding="utf-8")


@pytest.fixture(scope="session")
def translator(run_folder):
    """The run's translator in this process, which searches as the export does."""
    return Translator.from_run(run_folder, SearchOptions(beam=4, n_best=NUM_RESULTS).search)


@pytest.fixture(scope="session")
def functions(translator):
    """The translator's signatures, not exported."""
    return signatures.functions(translator, Limits())


@pytest.fixture(scope="session")
def export_command(run_folder, made_once, warm_python):
    """The finished command `python -m serving.export`, and the folder it wrote to."""

    def export(folder):
        arguments = ["-m", "serving.export", "--run", run_folder, "--output", folder / "dates"]
        done = python(*arguments, "--beam", 4, "--n_best", NUM_RESULTS, program=warm_python, text=True)
        (folder / "done.json").write_text(json.dumps(vars(done), default=str))

    folder = made_once("exports", export)
    return SimpleNamespace(**json.loads((folder / "done.json").read_text())), folder / "dates"


@pytest.fixture(scope="session")
def exported(export_command):
    """The exported version's folder."""
    command, output = export_command
    assert command.returncode == 0, command.stderr
    return output / "1"


@pytest.fixture(scope="session")
def base_paths(exported, tmp_path_factory):
    """Folders of the models that the test double serves: name -> base path."""
    folder = tmp_path_factory.mktemp("served")
    for number in (1, 2):
        write_version(folder / "echo", number)
    write_odd(folder / "odd")
    return {"dates": exported.parent, "echo": folder / "echo", "odd": folder / "odd"}


@pytest.fixture(scope="session")
def configs(base_paths):
    """Their `model_config`s: the newest version of all, and "both" with labels for the versions of "echo"."""
    both = model_config(
        "both", base_paths["echo"], "specific { versions: 1 versions: 2 }", {"stable": 1, "new": 2}
    )
    return {**{name: model_config(name, base) for name, base in base_paths.items()}, "both": both}


@pytest.fixture(scope="session")
def double(configs, tmp_path_factory, warm_python):
    """A running test double of TF Serving with these models."""
    path = tmp_path_factory.mktemp("config") / "models.config"
    path.write_text(server_config(*configs.values()), encoding="utf-8")
    arguments = ["--model_config_file", path, "--file_system_poll_wait_seconds", 0.2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", warm_python)
        double = Double(*arguments, "--max_body_bytes", 2**20, "--client_seconds", 3)
    with double:
        yield double
        assert double.stop() == 0, double.said()


def write_odd(base):
    """A model with outputs that text models do not have."""
    from serving import saved_model

    def function(**outputs):
        spec = tf.TensorSpec([None], tf.string, "text")

        def answer(text):
            return {name: make(text) for name, make in outputs.items()}

        return tf.function(answer, input_signature=[spec], autograph=False)

    def failing(text):
        with tf.control_dependencies([tf.debugging.assert_equal(tf.size(text), 0, message="too many texts")]):
            return tf.identity(text)

    functions = {
        "serving_default": function(same=tf.identity),
        "binary": function(text_bytes=tf.identity),
        "scalar": function(count=tf.size),
        "uneven": function(once=tf.identity, twice=lambda text: tf.concat([text, text], 0)),
        "numbers": function(small=lambda text: tf.fill(tf.shape(text), 0.1), whole=tf.strings.length),
        "failing": function(same=failing),
        "rows": function(rows=lambda text: tf.ones([tf.size(text), 2, 3])),
    }
    saved_model.write(functions, [tf.Variable(1.0)], [], base, 1)
