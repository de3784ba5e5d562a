"""Runs the README and the guide: each `python` and `bash` block in the order of the page."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from tests import checks
from tests.models import small_transformers
from tests.source_code import PACKAGES, ROOT

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def free_ports(count):
    """Numbers of ports that nobody listens to, as strings."""
    with contextlib.ExitStack() as sockets:
        found = [sockets.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [str(one.getsockname()[1]) for one in found]


def blocks(page, language):
    """The fenced blocks of a page in one language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [body for kind, body in BLOCK.findall(text) if kind == language]


def test_python_blocks_of_the_guide_to_decoding_do_what_they_say():
    names = {}
    for body in blocks("docs/decoding.md", "python"):
        exec(compile(body, "docs/decoding.md", "exec"), names)
    assert names["ids"].shape == (2, 12) and names["all_ids"].shape == names["aligned"].shape == (2, 2, 12)
    assert abs(names["total"].numpy() - names["scores"].numpy()).max() < 1e-3
    assert (names["texts"].numpy()[:, :3][names["prompts"] != 0] == [7, 9, 11, 8]).all()
    assert abs(names["log_probs_again"].numpy() - names["log_probs"].numpy()).max() < 1e-3


def test_python_blocks_of_the_guide_to_evaluation_do_what_they_say():
    names = {}
    for body in blocks("docs/evaluation.md", "python"):
        exec(compile(body, "docs/evaluation.md", "exec"), names)
    assert list(names["measured"]) == ["bleu", "chrf++", "ter"]


@pytest.fixture(params=[True, pytest.param(False, marks=pytest.mark.slow)], ids=["eagerly", "compiled"])
def in_either_way(request):
    """Compiling takes longer than the few steps; before a release it is done as users do it."""
    tf.config.run_functions_eagerly(request.param)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
@pytest.mark.usefixtures("in_either_way")
def test_python_blocks_run_one_after_the_other():
    program = blocks("README.md", "python")
    assert len(program) >= 3
    names = {}
    for body in program:
        exec(compile(body, "README.md", "exec"), names)
    assert names["ids"].shape == (3, 8)


LOAD = """
import sys
import keras
try:
    keras.models.load_model(sys.argv[1])
except TypeError as error:
    print(error)
import keras_transformer
print(type(keras.models.load_model(sys.argv[1])))
"""


def test_a_saved_model_is_loaded_where_the_package_was_imported(tmp_path, warm_python):
    checks.built(small_transformers.small, (small_transformers.INPUTS,)).save(tmp_path / "model.keras")
    done = subprocess.run(
        [warm_python, "-c", LOAD, tmp_path / "model.keras"], cwd=ROOT, capture_output=True, text=True
    )
    without, with_import = done.stdout.splitlines()
    assert re.match("Could not locate class 'Transformer'.*'keras_transformer.models.transformer'", without)
    assert with_import == "<class 'keras_transformer.models.transformer.Transformer'>", done.stderr


# A model and a corpus so small that the commands say what they say, and no more.
TINY = (
    "--model.num_layers 1 --model.hidden_dim 16 --model.num_heads 2 --model.intermediate_dim 11 "
    "--fit.epochs 1 --fit.steps_per_epoch 9 --optimizer.warmup_steps 3 --data.max_length 20"
)
CUT = "for split in train:900 validation:12 test:12; do sed -i ${split#*:}q numbers/${split%:*}.tsv; done"


@pytest.fixture
def screen(tmp_path):
    """The environment of a user, but for CUDA: what the screen would show."""
    for name in PACKAGES:
        (tmp_path / name).symlink_to(ROOT / name)
    path = os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return environment


def write_program(folder, text):
    """The command keras-transformer, in the folder's bin/."""
    program = folder / "bin" / "keras-transformer"
    program.parent.mkdir()
    program.write_text(text)
    program.chmod(0o755)


def run_commands(folder, environment, guides=(), change=lambda commands: commands):
    """Runs the commands of the page and of guides in a folder, on free ports; returns the lines they print.

    The commands stand in a clone with `training/` and `serving/`; what they write goes elsewhere.
    """
    commands = blocks("README.md", "bash")
    assert len(commands) >= 2
    # The guides' are of the run that the README makes; its last blocks export and serve.
    for page in guides:
        commands[-2:-2] = blocks(page, "bash")
    grpc_port, rest_port = free_ports(2)
    script = change("\n".join(commands)).replace("8500", grpc_port).replace("8501", rest_port)
    script = script.replace("local_server ", f"local_server --port {grpc_port} --rest_api_port {rest_port} ")
    done = subprocess.run(
        ["bash", "-c", f"set -e\n{script}"], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "BLEU = " in done.stdout and "signature" not in done.stderr
    noise = [line for line in done.stderr.splitlines() if re.match(r"^[IWE]\d{4} |WARNING", line)]
    assert not noise, f"start-up noise of TensorFlow on the screen: {noise}"
    return done.stdout.splitlines()


def test_commands_of_the_page_run_one_after_the_other(tmp_path, screen, warm_python):
    def smaller(script):
        first, *others = script.split("\n")
        assert "number_words" in first
        vocabulary = "--tokenizer.source.vocabulary_size 400"
        script = "\n".join([first, CUT, *others]).replace(vocabulary, f"{vocabulary} {TINY}")
        return script.replace("--layer 1 ", "--layer 0 ")

    write_program(tmp_path, f'#!/bin/sh\nexec {warm_python} -m keras_transformer_programs "$@"\n')
    screen["PATH"] = f"{Path(warm_python).parent}{os.pathsep}{screen['PATH']}"
    lines = run_commands(tmp_path, screen, change=smaller)
    # What the export says of a text, the server says too.
    assert lines[-4] == lines[-1] and lines[-2] == "1 AVAILABLE", lines[-9:]
    served, translated = (tmp_path / "numbers" / f"test.{name}" for name in ("served", "translated"))
    assert len(served.read_text().splitlines()) == len(translated.read_text().splitlines()) == 12


@pytest.mark.slow
def test_commands_of_the_page_learn_what_the_page_says(tmp_path, screen):
    # As pip writes it, for this clone.
    start = "from keras_transformer_programs.commands import main\nmain()\n"
    write_program(tmp_path, f"#!{sys.executable} -P\n{start}")
    lines = run_commands(tmp_path, screen, ["docs/decoding.md", "docs/evaluation.md"])
    assert lines[-4:] == ["412", "99", "1 AVAILABLE", "412"], lines[-9:]
    assert (tmp_path / "numbers/test.served").read_text().splitlines()[0].isdigit()


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/architecture.md",
        "docs/decoding.md",
        "docs/training.md",
        "docs/evaluation.md",
        "docs/python.md",
        "docs/serving.md",
        "SECURITY.md",
        "docs/local_server.md",
        "docs/web.md",
        "benchmarks/README.md",
        "CONTRIBUTING.md",
    ],
)
def test_links_to_files_are_true(page):
    folder = (ROOT / page).parent
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert all((folder / target).exists() for target in targets), targets


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_that_are_named_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z][\w-]+)", " ".join(re.findall(r"`[^`]+`|^make .*$", text, re.M))))
    assert named and named <= targets
