"""Decoded tokens per second of exported models, plain and by XLA, and of CTranslate2.

    python -m benchmarks.decoding

All have the same random weights, sources, steps and number of threads, and compute in float32. Only
decoding is measured: ids to ids, pieces to pieces. The end token is forbidden before the last step, so that
all take all steps.

Each has a process of its own: threads that wait (TensorFlow's pools, CTranslate2's OpenMP) spin for a while
before they sleep, and would take the other's cores. They take turns, call by call: noise hits all.
"""

import functools
import os
import platform
import re
import shlex
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import command_line
from command_line import quiet

SOURCE_LENGTH = 20  # tokens, the end token included
END_ID = 3  # as in keras_transformer.special_ids, which would bring Keras into every process
MODELS = {  # vocabulary and sizes
    "4x256": (10_000, dict(num_layers=4, hidden_dim=256, num_heads=8, intermediate_dim=1024)),
    "transformer_base": (32_000, dict(num_layers=6, hidden_dim=512, num_heads=8, intermediate_dim=2048)),
}
WIDTHS = {"greedy": 1, "beam 4": 4}


def main(arguments=None):
    """Measures and prints a table."""
    parser = command_line.parser("benchmarks.decoding", __doc__)
    parser.add_argument("--models", type=list[Literal[*MODELS]], default=list(MODELS), help="sizes")
    parser.add_argument("--batches", type=list[int], default=[1, 8, 32], help="numbers of sources")
    parser.add_argument("--steps", type=int, default=32, help="tokens decoded for each source")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each")
    parser.add_argument("--repeats", type=int, default=7, help="timed calls, of which the median counts")
    options = parser.parse_args(arguments)
    print(shlex.join(["python", "-m", "benchmarks.decoding", *(arguments or sys.argv[1:])]))
    print(machine(options.threads))
    print(f"source {SOURCE_LENGTH} tokens, {options.steps} steps; median of {options.repeats} calls\n")
    print("| model | search | batch | SavedModel, tokens/s | by XLA | CTranslate2 | ratio | ratio by XLA |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            measure(name, Path(folder), options)


def machine(threads):
    """Versions, processor and number of threads, one line."""
    packages = ("tensorflow", "keras", "ctranslate2")
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in packages)
    cpu_info = Path("/proc/cpuinfo")
    text = cpu_info.read_text(encoding="utf-8") if cpu_info.exists() else ""
    found = re.search("model name\\s*: (.*)", text)
    cpu = found[1] if found else platform.machine()
    return f"{versions}; {cpu}, {os.cpu_count()} CPUs, {threads} threads; float32"


def measure(name, folder, options):
    """Prints the rows of one model."""
    with process() as writer:
        writer.submit(write_models, name, folder, options.steps, sorted(options.batches)).result()
    with process() as plain, process() as compiled, process() as theirs:
        for batch in options.batches:
            for search, width in WIDTHS.items():
                case = (folder, width, batch, options.steps, options.threads)
                rounds = []
                for _ in range(1 + options.repeats):
                    times = (
                        plain.submit(seconds_of_saved_model, "plain", *case).result(),
                        compiled.submit(seconds_of_saved_model, "xla", *case).result(),
                        theirs.submit(seconds_of_ctranslate2, *case).result(),
                    )
                    rounds.append(times)
                del rounds[0]  # The first call optimises the graph, or compiles it, and makes room.
                speeds = [
                    f"{batch * options.steps / statistics.median(times):,.0f}"
                    for times in zip(*rounds, strict=True)
                ]
                ratios = [
                    f"{statistics.median(times[2] / times[way] for times in rounds):.2f}" for way in (0, 1)
                ]
                print(f"| {name} | {search} | {batch} | {' | '.join(speeds + ratios)} |", flush=True)


def process():
    """One process that does what it is given in turn, started afresh."""
    return ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))


def write_models(name, folder, steps, batches):
    """Writes the same weights as `folder`/saved_model and `folder`/ctranslate2."""
    with quiet.start_up():
        import keras
        import tensorflow as tf

        from keras_transformer import decoding, models
        from keras_transformer.pipelines.compiled_search import CompiledSearch
        from serving import ctranslate2_format

    vocabulary, sizes = MODELS[name]
    keras.utils.set_random_seed(0)
    model = models.Transformer(vocabulary, vocabulary, share_embeddings=True, **sizes)
    model.build()

    def signature(width, generate):
        limits = dict(max_length=steps, min_length=steps)
        beam = decoding.BeamSearch(width=width, alpha=0.0, **limits)
        search = decoding.Greedy(**limits) if width == 1 else beam

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, name="source_ids")])
        def decode(source_ids):
            return {"ids": generate(model, {"source_ids": source_ids}, search)[0][:, 0]}

        return decode

    module = tf.Module()
    module.variables_of_keras = [variable.value for variable in model.variables]
    ways = {"plain": decoding.generate_n_best, "xla": CompiledSearch(batches, [SOURCE_LENGTH])}
    signatures = {
        f"{way}_{width}": signature(width, generate)
        for way, generate in ways.items()
        for width in WIDTHS.values()
    }
    tf.saved_model.save(module, str(folder / "saved_model"), signatures=signatures)
    with quiet.start_up():  # SentencePiece notes that there is nothing to normalise by
        tokenizer = word_tokenizer(vocabulary)
    ctranslate2_format.write(model, tokenizer, tokenizer, folder / "ctranslate2")


def piece(token_id):
    """The piece of an id that is not special."""
    return f"\u2581{token_id}"


def word_tokenizer(vocabulary):
    """A SentencePiece model of that size, untrained: the piece of id 17 is \u258117."""
    from sentencepiece import sentencepiece_model_pb2

    from keras_transformer import tokenizers

    proto = sentencepiece_model_pb2.ModelProto()
    kinds = sentencepiece_model_pb2.ModelProto.SentencePiece
    for special in ("<pad>", "<unk>", "<s>", "</s>"):
        proto.pieces.add(piece=special, type=kinds.UNKNOWN if special == "<unk>" else kinds.CONTROL)
    for token_id in range(END_ID + 1, vocabulary):
        proto.pieces.add(piece=piece(token_id))
    return tokenizers.SentencePieceTokenizer(proto.SerializeToString())


def sources(batch):
    """Rows of ids, without the end token."""
    import numpy as np

    smallest = min(vocabulary for vocabulary, _ in MODELS.values())
    return np.random.default_rng(0).integers(END_ID + 1, smallest, (batch, SOURCE_LENGTH - 1))


@functools.cache
def load_saved_model(folder, threads):
    with quiet.start_up():
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        return tf.saved_model.load(str(folder / "saved_model"))


def seconds_of_saved_model(way, folder, width, batch, steps, threads):
    """Time of one call."""
    decode = load_saved_model(folder, threads).signatures[f"{way}_{width}"]
    import tensorflow as tf

    source_ids = tf.constant([[*row, END_ID] for row in sources(batch)], tf.int32)
    start = time.perf_counter()
    ids = decode(source_ids=source_ids)["ids"].numpy()
    seconds = time.perf_counter() - start
    assert ids.shape == (batch, steps) and ids.all(), "a row ended before the last step"
    return seconds


@functools.cache
def load_ctranslate2(folder, threads):
    import ctranslate2

    return ctranslate2.Translator(str(folder / "ctranslate2"), compute_type="float32", intra_threads=threads)


def seconds_of_ctranslate2(folder, width, batch, steps, threads):
    """Time of one call."""
    translator = load_ctranslate2(folder, threads)
    rows = [[piece(token_id) for token_id in row] for row in sources(batch)]
    lengths = dict(min_decoding_length=steps, max_decoding_length=steps)
    start = time.perf_counter()
    results = translator.translate_batch(rows, beam_size=width, length_penalty=0, **lengths)
    seconds = time.perf_counter() - start
    assert all(len(result.hypotheses[0]) == steps for result in results), "a row ended before the last step"
    return seconds


if __name__ == "__main__":
    command_line.run(main)
