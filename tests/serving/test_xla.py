"""Exports whose search XLA compiles: what is refused, and that they answer as the plain ones do."""

import json
from types import SimpleNamespace

import pytest
import tensorflow as tf
from jsonargparse import Namespace

from command_line.search_options import SearchOptions
from keras_transformer.pipelines.translator import Translator
from keras_transformer.pipelines.translator_signatures import functions
from serving import export, op_closure, saved_model, verify, xla
from serving.limits import Limits

from .conftest import MAX_LENGTH, QUESTIONS, REQUESTS, ask, through_c_api

# The last fits no shape.
ASKED = [*REQUESTS, ("translate", {"text": ["5"] * (len(QUESTIONS) + 1)})]


def pipeline(most_ids=40, decodes=True, dtype="float32"):
    model = SimpleNamespace(compute_dtype=dtype)
    return SimpleNamespace(model=model, decodes=decodes, most_ids=most_ids, compiled=None)


def test_sizes_without_the_option_are_refused():
    with pytest.raises(ValueError, match=r"are of `xla`.*xla_rows.*\[1\].*without --xla"):
        xla.Shapes.read(Namespace(xla=False, xla_rows=[1], xla_lengths=None))
    assert xla.Shapes.read(Namespace(xla=False, xla_rows=None, xla_lengths=None)) is None
    assert xla.Shapes.read(Namespace(xla=True, xla_rows=None, xla_lengths=[9])) == xla.Shapes(None, [9])


@pytest.mark.parametrize(
    "shapes, of, message",
    [
        (xla.Shapes(), pipeline(decodes=False), "`xla` compiles a search.*kind tagger"),
        (xla.Shapes(xla_lengths=[9]), pipeline(most_ids=None), "`xla_lengths` are of texts"),
        (xla.Shapes(xla_lengths=[]), pipeline(), "`xla_lengths` must have a number of tokens.*none"),
        (xla.Shapes(xla_rows=[1, 65]), pipeline(), "`xla_rows` must be at most 64.*Received: 65"),
        (xla.Shapes(xla_lengths=[32, 41]), pipeline(), "`xla_lengths` must be at most 40.*Received: 41"),
        (xla.Shapes(xla_rows=[1, 1]), pipeline(), "`xla_rows` must be positive integers in ascending order"),
    ],
)
def test_shapes_that_no_request_has_are_refused(shapes, of, message):
    with pytest.raises(ValueError, match=message):
        shapes.put_into(of, "tagger", max_rows=64)


@pytest.mark.parametrize("option", ["xla_rows", "xla_lengths"])
def test_sizes_for_another_runtime_are_refused(option, tmp_path):
    arguments = ["--run", "r", "--output", str(tmp_path / "o"), "--format", "onnx", f"--{option}", "[1]"]
    with pytest.raises(ValueError, match=f"of the format onnx has no .*Received: {option}"):
        export.main(arguments)


def test_the_shapes_of_before_are_small_ones_and_the_longest():
    facts = xla.Shapes().put_into(pipeline(), "transformer", max_rows=8)["xla"]
    assert facts == {"rows": [1, 8], "lengths": [32, 40], "server_flag": "--xla_cpu_compilation_enabled"}
    assert xla.Shapes().put_into(pipeline(most_ids=20), "transformer", 8)["xla"]["lengths"] == [20]
    assert xla.Shapes().put_into(pipeline(most_ids=None), "captioner", 8)["xla"]["lengths"] == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_half_precision_is_told_that_its_texts_may_differ(capsys, dtype):
    xla.Shapes().put_into(pipeline(dtype=dtype), "transformer", 8)
    assert ("XLA rounds half precision" in capsys.readouterr().out) == (dtype == "bfloat16")


def test_xla_is_allowed_where_the_manifest_says_so_and_its_ops_are_checked(tmp_path):
    @tf.function(jit_compile=True)
    def double(number):
        return 2.0 * number

    def written(folder, facts):
        spec = tf.TensorSpec([None], tf.float32, name="number")
        echo = tf.function(lambda number: {"double": double(number)}, input_signature=[spec], autograph=False)
        return saved_model.write({"serving_default": echo}, [], [], folder, facts=facts)

    with pytest.raises(ValueError, match=r"\(XLA\)"):
        written(tmp_path / "plain", {})
    version = written(tmp_path / "compiled", {"xla": {"rows": [1]}})
    with pytest.raises(ValueError, match=r"\(XLA\)"):
        op_closure.check(version / "saved_model.pb")


@pytest.fixture(scope="module")
def compiled(run_folder, tmp_path_factory):
    """An export of the run for one shape, with one result for each text: one search for all signatures."""
    shapes = xla.Shapes([len(QUESTIONS)], [MAX_LENGTH])
    return export.export(run_folder, tmp_path_factory.mktemp("xla"), search=SearchOptions(), shapes=shapes)


@pytest.fixture(scope="module")
def expected(run_folder):
    """What the same signatures answer without XLA."""
    found = functions(Translator.from_run(run_folder, SearchOptions().search), Limits())
    return [ask(found[name], inputs) for name, inputs in ASKED]


def close(answers, expected):
    """Texts and ids alike; numbers, of weights that make large ones, to a thousandth."""
    flat = [tf.nest.flatten(found) for found in (answers, expected)]
    return all(
        a == pytest.approx(b, rel=1e-3) if isinstance(b, float) else a == b
        for a, b in zip(*flat, strict=True)
    )


@pytest.mark.slow
def test_a_compiled_export_is_verified_and_says_what_its_server_needs(compiled):
    lines = list(verify.verify(compiled))
    assert any("XLA of the shapes" in line and "--xla_cpu_compilation_enabled" in line for line in lines)
    manifest = json.loads((compiled / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["xla"]["rows"] == [len(QUESTIONS)] and manifest["xla"]["lengths"] == [MAX_LENGTH]


@pytest.mark.slow
def test_a_compiled_export_answers_as_the_plain_one_through_the_c_api(compiled, expected, tmp_path):
    process = through_c_api(compiled, ASKED, tmp_path)
    assert process.returncode == 0, process.stderr.decode()
    assert close([json.loads(line) for line in process.stdout.splitlines()], expected)


@pytest.mark.slow
def test_a_server_without_xla_says_so(compiled, tmp_path):
    process = through_c_api(compiled, ASKED[:1], tmp_path, options=["--xla_off"])
    assert process.returncode and "XLA" in process.stderr.decode(), process.stderr
