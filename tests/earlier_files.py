"""Files of an earlier version of this project: for `test_earlier_files.py`, and the program that wrote them.

    cd CLONE-AT-THAT-COMMIT && PYTHONPATH=. python -P THIS-FILE files.tar.xz

`fixtures/files_of_3e1e1af.tar.xz` is of that commit. models/NAME/ has a `.keras` file, the inputs of a call
and what came of it; runs/KIND/ a run folder, without logs; runs/answers.json what the runs answered.
"""

import json
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import keras
import numpy as np

ARCHIVE = Path(__file__).with_name("fixtures") / "files_of_3e1e1af.tar.xz"
SIZES = {"num_layers": 1, "hidden_dim": 6}
HEADS = {"num_heads": 2, "intermediate_dim": 5}
PAIRS = {"source_vocabulary_size": 13, "target_vocabulary_size": 13}
IMAGES = {"filters": (3, 4), "channels": 1}
# Name -> class of `keras_transformer.models`, its arguments, and those of its `TextEncoder`, if it has one.
MODELS = {
    "attention_cnn": ("AttentionCNN", {"num_classes": 3, "filters": (3, 4)}),
    "causal_lm": ("CausalLM", {"vocabulary_size": 13, **SIZES, **HEADS}),
    "causal_lm_untied": (
        "CausalLM",
        {"vocabulary_size": 13, **SIZES, **HEADS}
        | {"norm_first": False, "max_length": 7, "tie_embeddings": False},
    ),
    "conv_seq2seq": ("ConvSeq2Seq", {**PAIRS, **SIZES, "max_length": 9}),
    "conv_seq2seq_shared": (
        "ConvSeq2Seq",
        {**PAIRS, **SIZES, "embedding_dim": 4, "max_length": 9, "share_embeddings": True},
    ),
    "image_captioner_gru": ("ImageCaptioner", {"vocabulary_size": 13, "decoder": "gru", **SIZES, **IMAGES}),
    "image_captioner_transformer": ("ImageCaptioner", {"vocabulary_size": 13, **SIZES, **HEADS, **IMAGES}),
    "masked_lm": ("MaskedLM", {}, {}),
    "rnn_seq2seq_additive": ("RNNSeq2Seq", {**PAIRS, **SIZES}),
    "rnn_seq2seq_concat": (
        "RNNSeq2Seq",
        {**PAIRS, **SIZES, "cell": "lstm", "attention": "concat"}
        | {"window": 2, "embedding_dim": 4, "share_embeddings": True},
    ),
    "rnn_seq2seq_dot": ("RNNSeq2Seq", {**PAIRS, **SIZES, "attention": "dot"}),
    "rnn_seq2seq_general": (
        "RNNSeq2Seq",
        {**PAIRS, "num_layers": 2, "hidden_dim": 6, "cell": "lstm", "attention": "general"},
    ),
    "rnn_seq2seq_none": ("RNNSeq2Seq", {**PAIRS, **SIZES, "attention": "none", "reverse_source": True}),
    "sequence_classifier": ("SequenceClassifier", {"num_classes": 3}, {"norm_first": True}),
    "token_classifier": ("TokenClassifier", {"num_classes": 3}, {}),
    "transformer": ("Transformer", {**PAIRS, **SIZES, **HEADS}),
    "transformer_shared": (
        "Transformer",
        {**PAIRS, **SIZES, **HEADS, "key_dim": 4, "activation": "gelu"}
        | {"norm_first": True, "share_embeddings": True, "max_length": 7},
    ),
}
INPUTS = {
    "AttentionCNN": ("image",),
    "CausalLM": ("target_ids",),
    "ImageCaptioner": ("image", "target_ids"),
    "MaskedLM": ("token_ids",),
    "SequenceClassifier": ("token_ids", "segment_ids"),
    "TokenClassifier": ("token_ids",),
}
QUESTIONS = ["3 May", "", "28 May"]


def call(model, inputs):
    """What a model says of {name: array}, as an array."""
    only = inputs["image"] if type(model).__name__ == "AttentionCNN" else inputs
    return keras.ops.convert_to_numpy(model(only))


def answers(run, kind):
    """What a run says of fixed questions: texts and numbers, lists of equal shape."""
    import tensorflow as tf

    from keras_transformer import decoding
    from keras_transformer.pipelines import captioner, image_classifier, mask_filler, text_generator
    from keras_transformer.pipelines.translator import Translator

    search = decoding.BeamSearch(7, width=2, n_best=2)
    image = np.random.default_rng(7).integers(256, size=(30, 20, 1)).astype("uint8")
    images = tf.io.encode_png(image)[None]
    if kind == "causal_lm":
        texts, numbers = text_generator.TextGenerator.from_run(run, search).n_best(tf.constant(["to", "be"]))
    elif kind == "masked_lm":
        texts, numbers = mask_filler.MaskFiller.from_run(run)(tf.constant(["to [MASK]", "[MASK]"]), 3)
    elif kind == "image_captioner":
        texts, numbers = captioner.Captioner.from_run(run, search).n_best(images)
    elif kind == "attention_cnn":
        texts, numbers = image_classifier.ImageClassifier.from_run(run)(images)
    else:
        texts, numbers = Translator.from_run(run, search).n_best(tf.constant(QUESTIONS))
    return {
        "texts": np.char.decode(texts.numpy().astype("S"), "utf-8").tolist(),
        "numbers": numbers.numpy().tolist(),
    }


def write_models(folder):
    """Writes each of `MODELS` with weights of its own."""
    from keras_transformer import layers, models

    rng = np.random.default_rng(5)

    def ids(length):  # the second row is padded
        found = rng.integers(4, 13, (2, length)).astype("int32")
        found[1, -1] = 0
        return found

    arrays = {"source_ids": ids(4), "target_ids": ids(3), "token_ids": ids(3)}
    arrays["segment_ids"] = arrays["token_ids"] % 2
    arrays["image"] = rng.uniform(size=(2, 8, 5, 1)).astype("float32")
    for name, (class_name, arguments, *encoder) in MODELS.items():
        keras.utils.set_random_seed(1)
        for own in encoder:
            text_encoder = layers.TextEncoder(13, **SIZES, **HEADS, max_length=11, **own)
            arguments = {"encoder": text_encoder} | arguments
        model = getattr(models, class_name)(**arguments)
        inputs = {part: arrays[part] for part in INPUTS.get(class_name, ("source_ids", "target_ids"))}
        call(model, inputs)
        # Not as they were initialised, and in steps, which a small archive is made of.
        changed = [weight + rng.uniform(0, 0.5, weight.shape) for weight in model.get_weights()]
        model.set_weights([np.round(weight * 64).astype("float32") / 64 for weight in changed])
        (folder / name).mkdir(parents=True)
        model.save(folder / name / "model.keras")
        np.savez(folder / name / "call.npz", output=call(model, inputs), **inputs)


def write_runs(folder):
    """Trains a model of each kind, and asks it."""
    from tests import tiny_runs
    from training import train

    folder.mkdir(parents=True)
    os.chdir(folder)  # relative paths alone stand in the configurations
    Path("pairs.tsv").write_text("".join(f"{day} May\t05-{day:02}\n" for day in range(1, 31)))
    pairs = {
        "data": {"name": "parallel_text", "train": ["pairs.tsv"], "validation": ["pairs.tsv"]},
        "tokenizer": {"source": {"kind": "code_points"}, "target": {"kind": "code_points"}},
    }
    configs = tiny_runs.CONFIGS | {"transformer": {"model": tiny_runs.LAYER | tiny_runs.HEADS}}
    found = {}
    for kind, config in configs.items():
        run, more = Path(kind), []
        if kind in ("transformer", "rnn_seq2seq", "conv_seq2seq"):
            tiny_runs.CONFIGS[kind] = config | pairs
        if kind == "transformer":  # learns a little
            more = ["--optimizer.peak", "0.02", "--fit.steps_per_epoch", "80"]
        config = tiny_runs.write_config(Path(), kind)
        train.main(["--config", str(config), "--output", str(run), *more])
        config.unlink()
        shutil.rmtree(run / "logs")
        if kind != "transformer":
            shutil.rmtree(run / "checkpoints")
        found[kind] = answers(run, kind)
    Path("answers.json").write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    archive = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        write_models(Path(scratch) / "models")
        write_runs(Path(scratch) / "runs")
        with tarfile.open(archive, "x:xz") as file:
            for part in ("models", "runs"):
                file.add(Path(scratch) / part, part)
