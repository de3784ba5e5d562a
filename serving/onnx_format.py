"""Writes a Transformer for ONNX Runtime: the encoder, and one decoding step.

    FOLDER/encoder.onnx     source_ids (B, S) int32 -> source state, target state
    FOLDER/step.onnx        token_ids (B,), index (), both int32, source state, target state
                            -> logits (B, V) float32, target state
    FOLDER/tokenizer/source, tokenizer/target    the tokenizers, sentencepiece.model

A state is a number of tensors: outputs and inputs stand in the same order, the logits before them. The source
state stays the same at each step; token_ids begin with the start token, and go on with what was chosen. Which
that is, is up to the caller: there is no search inside. A source ends with the end token, then comes padding.
"""

from pathlib import Path

import tensorflow as tf

from keras_transformer import models
from keras_transformer.pipelines.translator import Translator
from keras_transformer.special_ids import END_ID
from serving import whole_folder


def export(run_folder, output, checkpoint=None) -> Path:
    """Writes the model and the tokenizers of a run, and leaves nothing behind if that fails.

    Args:
        run_folder: what `training.train` made.
        output: the folder to write; must not exist.
        checkpoint: which model of the run, see `checkpoints.checkpoint_path`.

    Returns:
        `output`.

    Raises:
        ValueError: `tf2onnx` is not installed, `output` exists, or the model is no float32 Transformer.
    """
    output = Path(output)
    whole_folder.check_absent(output)
    try:
        import tf2onnx
    except ImportError as error:
        raise ValueError(
            f'This format needs the package tf2onnx: pip install ".[onnx]" in a clone. Received: {error}.'
        ) from error
    found = Translator.from_run(run_folder, checkpoint=checkpoint)
    with whole_folder.beside(output.parent) as beside:
        for name, function in graphs(found.model, found.search.max_length).items():
            path = beside / f"{name}.onnx"
            tf2onnx.convert.from_function(function, function.input_signature, output_path=str(path))
        found.source_tokenizer.save(beside / "tokenizer" / "source")
        found.target_tokenizer.save(beside / "tokenizer" / "target")
        return whole_folder.into_place(beside, output)


def graphs(model, max_length) -> dict:
    """The two functions that are written.

    Args:
        model: a float32 `models.Transformer`.
        max_length: steps that there is room for.

    Returns:
        "encoder" and "step" -> `tf.function`.

    Raises:
        ValueError: it is another model.
    """
    if not isinstance(model, models.Transformer) or model.compute_dtype != "float32":
        raise ValueError(f"For ONNX a model must be a float32 Transformer. Received: {model!r}.")
    if model.num_key_value_heads == 1 < model.num_heads:
        raise ValueError(
            "For ONNX heads must not all share one head of keys: tf2onnx 1.17 makes products of other shapes "
            f"of them. Received: num_heads={model.num_heads}, num_key_value_heads=1."
        )
    # Of sources of one token and of two: the axes that differ are the source's.
    states = [model.initial_state({"source_ids": tf.fill([1, n], END_ID)}, max_length) for n in (1, 2)]
    example, longer = ({side: state[side] for side in ("source", "target")} for state in states)

    def encoder(source_ids):
        state = model.initial_state({"source_ids": source_ids}, max_length)
        return [*tf.nest.flatten(state["source"]), *tf.nest.flatten(state["target"])]

    def step(token_ids, index, *leaves):
        logits, state = model.decode_step(token_ids, tf.nest.pack_sequence_as(example, leaves), index)
        return [logits, *tf.nest.flatten(state["target"])]

    def spec(number, leaf, other):
        shape = zip(leaf.shape[1:], other.shape[1:], strict=True)
        sizes = [size if size == its_size else None for size, its_size in shape]
        return tf.TensorSpec([None, *sizes], leaf.dtype, f"state_{number}")

    pairs = zip(tf.nest.flatten(example), tf.nest.flatten(longer), strict=True)
    leaves = [spec(number, *pair) for number, pair in enumerate(pairs)]
    ids = tf.TensorSpec([None, None], tf.int32, "source_ids")
    asked = [tf.TensorSpec([None], tf.int32, "token_ids"), tf.TensorSpec([], tf.int32, "index")]
    return {
        "encoder": tf.function(encoder, input_signature=[ids], autograph=False),
        "step": tf.function(step, input_signature=[*asked, *leaves], autograph=False),
    }
