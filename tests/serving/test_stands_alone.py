"""The exported model answers without this project: in a fresh process, and with no Python TensorFlow.

Both must say what the translator says here: texts and ids alike, numbers to 1e-4.
"""

import json
import shutil

import pytest

from .conftest import QUESTIONS, REPOSITORY, REQUESTS, ask, python, same, through_c_api

FRESH_PROCESS = """
import json, sys
import tensorflow as tf
import tensorflow_text

model = tf.saved_model.load(sys.argv[1])

def ask(name, inputs):
    kind = tf.int32 if name == "tokens" else tf.string
    answer = model.signatures[name](**{key: tf.constant(value, kind) for key, value in inputs.items()})
    return {key: tf.nest.map_structure(plain, value.numpy().tolist()) for key, value in answer.items()}

def plain(value):
    return value.decode("utf-8") if isinstance(value, bytes) else value

requests = json.loads(sys.argv[2])
broken = ask("translate", {"text": [b"\\xff\\xfe 5", b"\\x80"]})
assert broken == ask("translate", {"text": ["\\ufffd\\ufffd 5", "\\ufffd"]}), "invalid UTF-8"
others = [name for name in sys.modules if name.split(".")[0] in ("keras_transformer", "serving")]
assert not others, others
json.dump([ask(*request) for request in requests], sys.stdout)
"""


@pytest.fixture(scope="module")
def expected(functions):
    """What the translator's signatures answer in this process."""
    answers = [ask(functions[name], inputs) for name, inputs in REQUESTS]
    assert len(set(answers[0]["translation"])) > 3, "the answers must depend on the questions"
    return answers


@pytest.mark.parametrize("is_warm", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_process_with_only_tensorflow_and_tf_text_gives_the_same_answers(
    exported, expected, tmp_path, warm_python, is_warm
):
    # From another folder, and isolated: nothing of the repository can be imported.
    program = warm_python if is_warm else None
    arguments = ["-I", "-c", FRESH_PROCESS, exported, json.dumps(REQUESTS)]
    process = python(*arguments, folder=tmp_path, program=program)
    assert process.returncode == 0, process.stderr.decode()
    assert same(json.loads(process.stdout), expected)


def test_the_c_api_gives_the_same_answers_with_no_tensorflow_in_python(exported, expected, tmp_path):
    process = through_c_api(exported, REQUESTS, tmp_path)
    assert process.returncode == 0, process.stderr.decode()
    assert same([json.loads(line) for line in process.stdout.splitlines()], expected)


def test_the_c_api_refuses_a_model_whose_ops_are_not_linked(exported, tmp_path):
    # What users of an old server see. It shows that the C API has no op but those it is given.
    process = through_c_api(exported, REQUESTS[:1], tmp_path, libraries=())
    assert process.returncode == 1
    assert b"code 5: Op type not registered 'SentencepieceOp'" in process.stderr


def test_the_c_api_refuses_truncated_weights(exported, tmp_path):
    broken = tmp_path / "1"
    shutil.copytree(exported, broken)
    data = broken / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:100])
    process = through_c_api(broken, REQUESTS[:1], tmp_path)
    assert process.returncode == 1
    assert b"code 11" in process.stderr


def test_the_example_program_asks_the_exported_model(exported, expected, tmp_path, warm_python):
    program = tmp_path / "ask_saved_model.py"
    shutil.copy(REPOSITORY / "examples" / "ask_saved_model.py", program)
    process = python("-I", program, exported, *QUESTIONS[:3], folder=tmp_path, program=warm_python)
    assert process.returncode == 0, process.stderr.decode()
    assert process.stdout.decode().splitlines() == expected[0]["translation"][:3]
