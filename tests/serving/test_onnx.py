"""ONNX Runtime on a folder that the command wrote: step by step it decodes what greedy search decodes."""

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import decoding, models
from keras_transformer.pipelines.translator import Translator
from keras_transformer.special_ids import PAD_ID, START_ID
from serving import export, onnx_format
from tests import checks

from .conftest import MAX_LENGTH, QUESTIONS

tf2onnx = pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

INPUTS = {
    "source_ids": np.array([[5, 6, 7, 3], [8, 3, 0, 0]], "int32"),
    "target_ids": np.array([[2, 7, 9, 11], [2, 4, 5, 0]], "int32"),
}


def named(session, values):
    names = [spec.name for spec in session.get_inputs()]
    return dict(zip(names, values, strict=True))


def started(folder, source_ids):
    """The session of a step, and the states of source and target before the first."""
    encoder, step = (onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("encoder", "step"))
    state = encoder.run(None, {"source_ids": source_ids})
    num_source = len(step.get_inputs()) - 2 - (len(step.get_outputs()) - 1)
    return step, state[:num_source], state[num_source:]


def step_by_step(folder, source_ids, target_ids):
    """Logits (B, T, V) of given targets."""
    (step, source, target), found = started(folder, source_ids), []
    for index, token_ids in enumerate(target_ids.T):
        logits, *target = step.run(None, named(step, [token_ids, np.array(index, "int32"), *source, *target]))
        found.append(logits)
    return np.stack(found, axis=1)


def decode(folder, source_ids, steps):
    """Greedy search by a caller, (B, steps); goes on behind an end token."""
    (step, source, target), found = started(folder, source_ids), []
    token_ids = np.full(len(source_ids), START_ID, "int32")
    for index in range(steps):
        logits, *target = step.run(None, named(step, [token_ids, np.array(index, "int32"), *source, *target]))
        logits[:, [PAD_ID, START_ID]] = -np.inf
        token_ids = logits.argmax(axis=1).astype("int32")
        found.append(token_ids)
    return np.stack(found, axis=1)


def test_encoder_and_steps_decode_what_greedy_search_decodes(run_folder, tmp_path, capsys):
    output = tmp_path / "new" / "model"
    export.main(["--run", str(run_folder), "--output", str(output), "--format", "onnx"])
    assert capsys.readouterr().out.startswith(f"exported: {output} (")
    assert sorted(path.name for path in output.iterdir()) == ["encoder.onnx", "step.onnx", "tokenizer"]
    translator = Translator.from_run(run_folder, decoding.Greedy(max_length=MAX_LENGTH))
    source_ids = translator.source_ids(tf.constant([text for text in QUESTIONS if text]))
    expected, _ = decoding.generate(translator.model, {"source_ids": source_ids}, translator.search)
    found = decode(output, source_ids.numpy(), MAX_LENGTH)
    np.testing.assert_array_equal(np.where(expected == PAD_ID, PAD_ID, found), expected)
    with pytest.raises(ValueError, match="never overwritten"):
        export.main(["--run", str(run_folder), "--output", str(output), "--format", "onnx"])


def test_a_model_of_another_precision_is_refused():
    model = models.Transformer(
        5, 7, num_layers=1, hidden_dim=6, num_heads=2, intermediate_dim=11, dtype="mixed_bfloat16"
    )
    with pytest.raises(ValueError, match="must be a float32 Transformer"):
        onnx_format.graphs(model, 3)


def sizes(**options):
    small = {"num_layers": 1, "hidden_dim": 8, "num_heads": 4, "intermediate_dim": 11, "dropout": 0.0}
    return models.Transformer(13, 17, **small, **options)


def test_heads_that_all_share_one_are_refused():
    with pytest.raises(ValueError, match="tf2onnx 1.17.*num_heads=4, num_key_value_heads=1"):
        onnx_format.graphs(sizes(num_key_value_heads=1), 3)


OPTIONS = [{"positions": kind} for kind in ("rotary", "alibi", "relative_bias", "relative_keys_values")]
OPTIONS += [
    {"num_key_value_heads": 2, "normalization": "rms_norm", "activation": "swiglu", "qk_norm": "rms_norm"}
]
OPTIONS += [{"sliding_window": 2, "num_decoder_layers": 2}]


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_layers_of_all_kinds_take_the_steps_of_a_whole_pass(options, tmp_path):
    model = checks.randomized(checks.built(lambda: sizes(**options), (INPUTS,)))
    for name, function in onnx_format.graphs(model, 4).items():
        tf2onnx.convert.from_function(
            function, function.input_signature, output_path=str(tmp_path / f"{name}.onnx")
        )
    logits = step_by_step(tmp_path, INPUTS["source_ids"], INPUTS["target_ids"])
    np.testing.assert_allclose(logits, checks.as_array(model(INPUTS)), atol=1e-5)
