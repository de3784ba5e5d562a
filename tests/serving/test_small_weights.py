"""`serving.export --weights`: small files, the same signatures, and the change of the answers is told."""

import contextlib
import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer import layers
from keras_transformer.pipelines.text_classifier import TextClassifier
from serving import certificate, export, manifest, op_closure, replay, small_weights, weights_change
from tests.serving.conftest import same, through_c_api

EVALUATE = weights_change._evaluate


def evaluated(*options):
    """What `training.evaluate` would answer: the run has validation data, and no test data."""
    if "test" in options:
        return False, ["error: The run's data must have a test split."]
    return True, [f"accuracy = 50.00 {' '.join(map(str, options[2:]))}"]


@pytest.fixture(scope="module")
def made(zoo_run, tmp_path_factory):
    """A run, its export with int8 weights, and what the command printed."""
    run, output = zoo_run("text_classifier"), tmp_path_factory.mktemp("small")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.setattr(weights_change, "_evaluate", evaluated)
        export.main(["--run", str(run), "--output", str(output), "--weights", "int8"])
    return run, output / "1", said.getvalue().splitlines()


def test_kernels_and_embeddings_are_int8_in_the_files_and_all_else_is_float32(made):
    run, folder, _ = made
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    kinds = reader.get_variable_to_dtype_map()
    sizes = {key: np.prod(shape) for key, shape in reader.get_variable_to_shape_map().items()}
    model = TextClassifier.from_run(run).model
    kernels = [weight for weight in model.weights if weight.name in ("kernel", "embeddings")]
    assert sum(sizes[key] for key in kinds if kinds[key] == tf.int8) == sum(
        int(np.prod(weight.shape)) for weight in kernels
    )
    others = [weight for weight in model.weights if weight.name not in ("kernel", "embeddings")]
    assert len([key for key in kinds if kinds[key] == tf.float32]) == len(others) > 4


def test_the_command_tells_sizes_and_the_change_of_answers_and_of_measures(made):
    _, folder, said = made
    assert said[0].startswith("int8: class: 4 of 4 equal; probability: differ by at most ")
    assert said[1:3] == [f"{kind}: accuracy = 50.00 --data validation" for kind in ("float32", "int8")]
    assert said[-1].startswith(f"exported: {folder} (") and "with float32 weights" in said[-1]
    assert json.loads((folder / "manifest.json").read_text())["weights"] == "int8"


def test_loaders_of_python_and_of_a_session_answer_with_the_rounded_weights(made):
    run, folder, _ = made
    (sample, *_) = samples = json.loads((folder / manifest.SAMPLES_FILE).read_text())
    assert same(replay.answer(tf, str(folder), samples), [sample["outputs"] for sample in samples])
    # As in TF Serving: no function but that of the graph restores.
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        signature = loaded.signature_def["classify"]
        fed = {signature.inputs["text"].name: sample["inputs"]["text"]}
        answer = session.run(signature.outputs["probability"].name, fed)
    np.testing.assert_allclose(answer, sample["outputs"]["probability"], atol=1e-5)
    exact = TextClassifier.from_run(run)(tf.constant(sample["inputs"]["text"]))[1].numpy()
    assert 0 < np.abs(exact - answer).max() < 0.02


@pytest.mark.slow
def test_the_c_api_answers_with_the_rounded_weights(made, tmp_path):
    samples = json.loads((made[1] / manifest.SAMPLES_FILE).read_text())
    done = through_c_api(made[1], [("classify", sample["inputs"]) for sample in samples], tmp_path)
    assert same([json.loads(line) for line in done.stdout.splitlines()], [s["outputs"] for s in samples])


@pytest.mark.slow
def test_the_measures_are_those_of_evaluate(made, monkeypatch):
    monkeypatch.setattr(weights_change, "_evaluate", EVALUATE)
    model = TextClassifier.from_run(made[0]).model
    lines = list(weights_change.of_measures(made[0], None, model, None, []))
    (exact, small) = (line for line in lines if "accuracy" in line)
    assert exact.replace("float32:", "small:") == small


def test_operations_that_assign_are_in_no_function_that_a_graph_calls(made, tmp_path):
    proto = op_closure.read(made[1] / "saved_model.pb")
    op_closure.check(made[1] / "saved_model.pb")
    (graph,) = proto.meta_graphs
    creator = next(f for f in graph.graph_def.library.function if "_creator" in f.signature.name)
    assert any(node.op == "AssignVariableOp" for node in creator.node_def)
    call = graph.graph_def.node.add(name="again", op="StatefulPartitionedCall")
    call.attr["f"].func.name = creator.signature.name
    path = tmp_path / "saved_model.pb"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match="Received: AssignVariableOp"):
        op_closure.check(path)


def test_the_certificate_tells_tokenizers_from_operations(made, tmp_path):
    proto = op_closure.read(made[1] / "saved_model.pb")
    path = tmp_path / "saved_model.pb"
    certified = json.loads((made[1] / "manifest.json").read_text())["certificate"]
    assert certified == certificate.sums(made[1])
    nodes = [node for f in proto.meta_graphs[0].graph_def.library.function for node in f.node_def]
    piece = next(node for node in nodes if node.op == "Const" and node.attr["dtype"].type == tf.string)
    product = next(node for node in nodes if node.op == "MatMul")
    kept = piece.attr["value"].tensor.string_val[0]
    piece.attr["value"].tensor.string_val[0] = b"another"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match="The tokenizers must have the sum of the certificate, .*other tok"):
        certificate.check(certified, certificate.graph_sums(path))
    piece.attr["value"].tensor.string_val[0] = kept
    product.attr["transpose_b"].b = True
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match="The operations must have the sum"):
        certificate.check(certified, certificate.graph_sums(path))


def built(layer, *inputs):
    """A model of one layer."""
    model = keras.Sequential([layer])
    model(*inputs)
    return model


@pytest.mark.parametrize(
    "layer, x, axes",
    [
        (keras.layers.Dense(7), ops.ones((1, 11)), (0,)),
        (keras.layers.EinsumDense("bd,dhk->bhk", (3, 5)), ops.ones((1, 11)), (0,)),
        (keras.layers.EinsumDense("bhk,hkd->bd", 7), ops.ones((1, 3, 5)), (0, 1)),
        (keras.layers.Conv1D(7, 3), ops.ones((1, 4, 5)), (0, 1)),
        (layers.TokenEmbedding(13, 6), ops.zeros((1, 2), "int32"), (1,)),
    ],
)
def test_int8_rounds_to_half_a_step_of_its_output_or_row_and_twice_is_once(layer, x, axes):
    model = built(layer, x)
    exact = model.weights[0].numpy()
    (weight,) = (w for w in small_weights.of(model, "int8") if isinstance(w, small_weights.SmallWeight))
    weight.round()
    rounded = model.weights[0].numpy()
    # The scale has eight bits: up to 1/256 more than the largest / 127.
    steps = np.abs(exact).max(axes, keepdims=True) / 127
    assert np.all(np.abs(rounded - exact) <= steps * 0.76) and np.any(rounded != exact)
    weight.round()
    np.testing.assert_array_equal(model.weights[0].numpy(), rounded)


@pytest.mark.parametrize("kind, bits", [("float16", 11), ("bfloat16", 8)])
def test_halves_round_to_their_digits_and_a_weight_beyond_them_is_told(kind, bits):
    model = built(keras.layers.Dense(7), ops.ones((1, 11)))
    exact = model.weights[0].numpy()
    weight = small_weights.of(model, kind)[0]
    weight.round()
    np.testing.assert_allclose(model.weights[0].numpy(), exact, rtol=2.0**-bits)
    assert weight.saved_bytes == 2 * exact.size
    model.weights[0].assign(exact + 1e5)
    if kind == "float16":
        with pytest.raises(ValueError, match="float16 ends at 65504. Received: dense.*/kernel"):
            weight.round()


@pytest.mark.parametrize(
    "options, message",
    [
        (
            ["--ensemble", "b"],
            "Small weights are of one model. Received: weights=int8, for an ensemble of 2.",
        ),
        (["--format", "onnx"], "Received: weights=int8, for the format onnx."),
        (["--format", "ctranslate2"], "for the format ctranslate2; it has --quantization."),
    ],
)
def test_small_weights_are_of_one_saved_model(tmp_path, options, message):
    with pytest.raises(ValueError) as refused:
        export.main(["--run", "a", "--output", str(tmp_path / "out"), "--weights", "int8", *options])
    assert message in str(refused.value) and list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_measured_are_told_and_nothing_is_written(made, tmp_path, monkeypatch):
    monkeypatch.setattr(weights_change, "_evaluate", lambda *_: (False, ["error: No such file: x.tsv."]))
    given = ["--run", str(made[0]), "--output", str(tmp_path / "out")]
    with pytest.raises(ValueError, match="`test_files` are for small weights"):
        export.main([*given, "--test_files", "x.tsv"])
    with pytest.raises(ValueError, match="`test_files` must be measured. Received: No such file: x.tsv."):
        export.main([*given, "--weights", "int8", "--test_files", "x.tsv"])
    assert list(tmp_path.iterdir()) == []
