"""The exported model answers without this project: in a fresh process, and with no Python TensorFlow.

Both must say what the translator says here, byte for byte.
"""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_transformer.translator import Translator

from .conftest import REPOSITORY, python

QUESTIONS = ["3 février 1987", "2031년 3월 5일", "March", "", "ａ \u202e\u0000 🙂", "5 " * 40, "5"]
C_API = Path(__file__).with_name("c_api.py")

FRESH_PROCESS = """
import json, sys
import tensorflow as tf
import tensorflow_text

signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]

def ask(questions):
    answer = signature(text=tf.constant(questions, tf.string))["translation"]
    return [text.decode("utf-8") for text in answer.numpy()]

questions = json.loads(sys.argv[2])
together = ask(questions)
assert together == [ask([question])[0] for question in questions], "depends on the batch"
assert ask([]) == []
assert ask([b"\\xff\\xfe 5", b"\\x80"]) == ask(["\\ufffd\\ufffd 5", "\\ufffd"]), "invalid UTF-8"
others = [name for name in sys.modules if name.split(".")[0] in ("keras_transformer", "serving")]
assert not others, others
json.dump(together, sys.stdout)
"""


@pytest.fixture(scope="module")
def expected(run_folder):
    """What the translator answers in this process."""
    answers = Translator.from_run(run_folder)(tf.constant(QUESTIONS))
    texts = [text.decode("utf-8") for text in answers.numpy()]
    assert len(set(texts)) > 3, "the answers must depend on the questions"
    return texts


def test_a_process_with_only_tensorflow_and_tf_text_gives_the_same_text(exported, expected, tmp_path):
    # From another folder, and isolated: nothing of the repository can be imported.
    process = python("-I", "-c", FRESH_PROCESS, exported, json.dumps(QUESTIONS), folder=tmp_path)
    assert process.returncode == 0, process.stderr.decode()
    assert json.loads(process.stdout) == expected


def tensor_names(exported):
    """Names of the signature's input and output in the graph."""
    proto = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    signature = proto.meta_graphs[0].signature_def["serving_default"]
    return signature.inputs["text"].name, signature.outputs["translation"].name


def through_c_api(folder, names, questions, tmp_path, libraries=("_sentencepiece_tokenizer.so",)):
    """Runs c_api.py with the op libraries of tensorflow_text."""
    text_ops = Path(importlib.util.find_spec("tensorflow_text").origin).parent / "python" / "ops"
    paths = [text_ops / library for library in libraries]
    lines = "".join(f"{question}\n" for question in questions).encode()
    return python("-I", C_API, folder, *names, *paths, folder=tmp_path, input=lines)


def test_the_c_api_gives_the_same_text_with_no_tensorflow_in_python(exported, expected, tmp_path):
    process = through_c_api(exported, tensor_names(exported), QUESTIONS, tmp_path)
    assert process.returncode == 0, process.stderr.decode()
    assert [json.loads(line) for line in process.stdout.splitlines()] == expected


def test_the_c_api_refuses_a_model_whose_ops_are_not_linked(exported, tmp_path):
    # What users of an old server see. It shows that the C API has no op but those it is given.
    process = through_c_api(exported, tensor_names(exported), ["5"], tmp_path, libraries=())
    assert process.returncode == 1
    assert b"code 5: Op type not registered 'SentencepieceOp'" in process.stderr


def test_the_c_api_refuses_truncated_weights(exported, tmp_path):
    broken = tmp_path / "1"
    shutil.copytree(exported, broken)
    data = broken / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:100])
    process = through_c_api(broken, tensor_names(exported), ["5"], tmp_path)
    assert process.returncode == 1
    assert b"code 11" in process.stderr


def test_the_example_program_asks_the_exported_model(exported, expected, tmp_path):
    program = tmp_path / "ask_saved_model.py"
    shutil.copy(REPOSITORY / "examples" / "ask_saved_model.py", program)
    process = python("-I", program, exported, *QUESTIONS[:3], folder=tmp_path)
    assert process.returncode == 0, process.stderr.decode()
    assert process.stdout.decode().splitlines() == expected[:3]
