"""Decoded tokens per second, and the time of one text, of every export: python -m benchmarks.decoding

All have the same random weights, sources, steps and number of threads. Only decoding is measured: ids to ids,
pieces to pieces. The end token is forbidden before the last step, so that all take all steps.

Each has a process of its own: threads that wait (TensorFlow's pools, CTranslate2's OpenMP) spin for a while
before they sleep, and would take the other's cores. They take turns, call by call: noise hits all.
"""

import contextlib
import functools
import os
import platform
import re
import shlex
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np

import command_line
from command_line import quiet

SOURCE_LENGTH = 20  # tokens, the end token included
END_ID = 3  # as in keras_transformer.special_ids, which would bring Keras into every process
MODELS = {  # vocabulary and sizes
    "4x256": (10_000, dict(num_layers=4, hidden_dim=256, num_heads=8, intermediate_dim=1024)),
    "transformer_base": (32_000, dict(num_layers=6, hidden_dim=512, num_heads=8, intermediate_dim=2048)),
}
WIDTHS = {"greedy": 1, "beam 4": 4}
# Of each the folder that `write_models` writes; and how many sources a call may have.
WAYS = {
    "SavedModel": "plain",
    "by XLA": "xla",
    "CTranslate2": "float32",
    "CTranslate2, int8": "int8",
    "SavedModel, int8 weights": "small",
}
IN_BATCHES = list(WAYS)[:-1]  # of small weights the program is that of the plain export


def main(arguments=None):
    """Measures and prints two tables."""
    parser = command_line.parser("benchmarks.decoding", __doc__)
    parser.add_argument("--models", type=list[Literal[*MODELS]], default=list(MODELS), help="sizes")
    parser.add_argument("--batches", type=list[int], default=[1, 8, 32], help="numbers of sources")
    parser.add_argument("--steps", type=int, default=32, help="tokens decoded for each source")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls of a batch")
    parser.add_argument("--alone", type=int, default=60, help="timed calls of one source")
    options = parser.parse_args(arguments)
    print(shlex.join(["python", "-m", "benchmarks.decoding", *(arguments or sys.argv[1:])]))
    print(machine(options.threads))
    print(f"source {SOURCE_LENGTH} tokens, {options.steps} steps; tokens/s are medians of {options.repeats} ")
    print(f"calls, of one source of {options.alone}; ratios to CTranslate2, medians of turns\n")
    print(f"| model | search | batch | {' | '.join(IN_BATCHES)} | ratio | ratio by XLA |")
    print("|---|---|---|---|---|---|---|---|---|")
    alone = []
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            alone += measure(name, Path(folder), options)
    print(
        f"\nOne text:\n\n| model | export | MB | {' | '.join(f'{name}: p50, p99, ms' for name in WIDTHS)} |"
    )
    print("|---|---|---|---|---|")
    for row in alone:
        print(f"| {' | '.join(row)} |")


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
    """Prints the rows of one model, and returns those of one text."""
    with process() as writer:
        sizes = writer.submit(write_models, name, folder, options.steps, sorted(options.batches)).result()
    alone = {way: [name, way, f"{sizes[kind] / 1e6:,.0f}"] for way, kind in WAYS.items()}
    with contextlib.ExitStack() as stack:
        workers = {way: stack.enter_context(process()) for way in WAYS}
        for batch in options.batches:
            for search, width in WIDTHS.items():
                times = turns(workers, WAYS if batch == 1 else IN_BATCHES, folder, width, batch, options)
                medians = [np.median(times[way]) for way in IN_BATCHES]
                speeds = [f"{batch * options.steps / seconds:,.0f}" for seconds in medians]
                theirs = np.array(times["CTranslate2"])
                ratios = [f"{np.median(theirs / times[way]):.2f}" for way in ("SavedModel", "by XLA")]
                print(f"| {name} | {search} | {batch} | {' | '.join(speeds + ratios)} |", flush=True)
                for way in times if batch == 1 else ():
                    p50, p99 = 1000 * np.percentile(times[way], [50, 99])
                    alone[way].append(f"{p50:,.0f}, {p99:,.0f}")
    return alone.values()


def turns(workers, ways, folder, width, batch, options):
    """Seconds of each call, {way: list}; the ways take turns."""
    times = {way: [] for way in ways}
    for number in range(1 + (options.alone if batch == 1 else options.repeats)):
        for way in ways:
            seconds = seconds_of_ctranslate2 if "CTranslate2" in way else seconds_of_saved_model
            case = (folder / WAYS[way], width, batch, options.steps, options.threads)
            found = workers[way].submit(seconds, *case).result()
            # The first call optimises the graph, or compiles it, and makes room.
            times[way] += [found] if number else []
    return times


def process():
    """One process that does what it is given in turn, started afresh."""
    return ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))


def write_models(name, folder, steps, batches):
    """Writes the same weights to a folder for each of `WAYS`; returns their sizes in bytes."""
    with quiet.start_up():
        import keras
        import tensorflow as tf

        from keras_transformer import decoding, models
        from keras_transformer.pipelines.compiled_search import CompiledSearch
        from serving import ctranslate2_format, small_weights

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

    compiled = CompiledSearch(batches, [SOURCE_LENGTH])
    ways = {"plain": decoding.generate_n_best, "xla": compiled, "small": decoding.generate_n_best}
    for way, generate in ways.items():
        module = tf.Module()
        module.weights = [variable.value for variable in model.variables]
        if way == "small":
            module.weights = small_weights.of(model, "int8")
        signatures = {f"width_{width}": signature(width, generate) for width in WIDTHS.values()}
        tf.saved_model.save(module, str(folder / way), signatures=signatures)
    with quiet.start_up():  # SentencePiece notes that there is nothing to normalise by
        tokenizer = word_tokenizer(vocabulary)
    for quantization in ("float32", "int8"):
        kind = None if quantization == "float32" else quantization
        ctranslate2_format.write(model, tokenizer, tokenizer, folder / quantization, kind)
    files = {way: (folder / way).rglob("*") for way in WAYS.values()}
    return {way: sum(path.stat().st_size for path in found if path.is_file()) for way, found in files.items()}


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
    smallest = min(vocabulary for vocabulary, _ in MODELS.values())
    return np.random.default_rng(0).integers(END_ID + 1, smallest, (batch, SOURCE_LENGTH - 1))


@functools.cache
def load_saved_model(folder, threads):
    with quiet.start_up():
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        return tf.saved_model.load(str(folder))


def seconds_of_saved_model(folder, width, batch, steps, threads):
    """Time of one call."""
    decode = load_saved_model(folder, threads).signatures[f"width_{width}"]
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

    # Of float32 weights and of int8 ones, computed with as they are stored.
    return ctranslate2.Translator(str(folder), compute_type=folder.name, intra_threads=threads)


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
