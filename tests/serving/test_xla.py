"""Exports whose search XLA compiles: what is refused, and that they answer as the plain ones do."""

import json
from types import SimpleNamespace

import pytest
import tensorflow as tf
from jsonargparse import Namespace

from command_line.search_options import SearchOptions
from serving import export, op_closure, saved_model, verify, xla

from .conftest import MAX_LENGTH, NUM_RESULTS, REQUESTS, ask, same, through_c_api


def pipeline(most_ids=40, decodes=True):
    return SimpleNamespace(decodes=decodes, most_ids=most_ids, compiled=None)


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
        (xla.Shapes(xla_rows=[1, 65]), pipeline(), "`xla_rows` must be at most 64.*Received: 65"),
        (xla.Shapes(xla_lengths=[32, 41]), pipeline(), "`xla_lengths` must be at most 40.*Received: 41"),
        (xla.Shapes(xla_rows=[1, 1]), pipeline(), "`xla_rows` must be positive integers in ascending order"),
    ],
)
def test_shapes_that_no_request_has_are_refused(shapes, of, message):
    with pytest.raises(ValueError, match=message):
        shapes.put_into(of, "tagger", max_rows=64)


def test_the_shapes_of_before_are_small_ones_and_the_longest():
    facts = xla.Shapes().put_into(pipeline(), "transformer", max_rows=8)["xla"]
    assert facts == {"rows": [1, 8], "lengths": [32, 40], "server_flag": "--xla_cpu_compilation_enabled"}
    assert xla.Shapes().put_into(pipeline(most_ids=20), "transformer", 8)["xla"]["lengths"] == [20]
    assert xla.Shapes().put_into(pipeline(most_ids=None), "captioner", 8)["xla"]["lengths"] == []


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
    """An export of the run for two shapes."""
    options = SearchOptions(beam=4, n_best=NUM_RESULTS)
    shapes = xla.Shapes([2, 7], [MAX_LENGTH])
    return export.export(run_folder, tmp_path_factory.mktemp("xla"), search=options, shapes=shapes)


@pytest.mark.slow
def test_a_compiled_export_is_verified_and_says_what_its_server_needs(compiled):
    lines = list(verify.verify(compiled))
    assert any("XLA of the shapes" in line and "--xla_cpu_compilation_enabled" in line for line in lines)
    manifest = json.loads((compiled / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["xla"]["rows"] == [2, 7] and manifest["xla"]["lengths"] == [MAX_LENGTH]


@pytest.mark.slow
def test_a_compiled_export_answers_as_the_plain_one(compiled, functions):
    model = tf.saved_model.load(str(compiled))
    for name, inputs in [*REQUESTS, ("translate", {"text": ["5"] * 9})]:  # the last fits no shape
        assert same([ask(model.signatures[name], inputs)], [ask(functions[name], inputs)])


@pytest.mark.slow
def test_through_the_c_api_too_and_without_xla_the_error_names_it(compiled, functions, tmp_path):
    expected = [ask(functions[name], inputs) for name, inputs in REQUESTS]
    process = through_c_api(compiled, REQUESTS, tmp_path)
    assert process.returncode == 0, process.stderr.decode()
    assert same([json.loads(line) for line in process.stdout.splitlines()], expected)
    process = through_c_api(compiled, REQUESTS[:1], tmp_path, options=["--xla_off"])
    assert process.returncode and b"XLA" in process.stderr, process.stderr
    print(process.stderr.decode())
