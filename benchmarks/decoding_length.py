"""Time and memory of decoding against the length of the output: python -m benchmarks.decoding_length

A model of 4 + 4 layers of 256 with random weights decodes exactly 16, 32, ..., 512 tokens. Time should grow
in proportion to the tokens, and memory should not grow from call to call. With --xla the search is compiled.
"""

import resource
import statistics
import sys
import time

import command_line
from command_line import quiet

with quiet.start_up():
    import keras
    import numpy as np
    import tensorflow as tf
    from matplotlib.figure import Figure

    from keras_transformer import decoding, models

LENGTHS = (16, 32, 64, 128, 256, 512)
VOCABULARY, SOURCE_LENGTH = 10_000, 20


def measure(model, search, batch_size, repeats, xla):
    """Median seconds of a call, and how much the peak memory grows after the first call, KiB."""
    source = np.random.default_rng(0).integers(4, VOCABULARY, (batch_size, SOURCE_LENGTH)).astype("int32")
    decode = tf.function(
        lambda source_ids: decoding.generate(model, {"source_ids": source_ids}, search)[0],
        input_signature=[tf.TensorSpec([None, None], tf.int32)],
        autograph=False,
        jit_compile=xla or None,
    )
    ids = decode(source).numpy()
    assert (ids != 0).all(), "every position must be decoded"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        decode(source).numpy()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def main():
    """Measures, prints a table and draws it."""
    parser = command_line.parser("benchmarks.decoding_length", __doc__)
    parser.add_argument("--batch_size", type=int, default=8, help="texts")
    parser.add_argument("--xla", action="store_true", help="whether XLA compiles the search")
    parser.add_argument("--repeats", type=int, default=5, help="calls, of which the median counts")
    parser.add_argument("--picture", type=str, help="file to draw to")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    model = models.Transformer(
        VOCABULARY, VOCABULARY, num_layers=4, hidden_dim=256, num_heads=8, intermediate_dim=1024
    )
    model.build()
    searches = {
        "greedy": lambda length: decoding.Greedy(length, min_length=length),
        "beam 4": lambda length: decoding.BeamSearch(length, min_length=length, alpha=0.0),
    }
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}; python -m benchmarks.decoding_length")
    way = ", compiled by XLA" if options.xla else ""
    print(f"batch {options.batch_size}, {options.repeats} calls after the first{way}\n")
    print("| search | tokens | seconds | ms a token | memory growth, MiB |")
    print("|---|---|---|---|---|")
    curves = {}
    for name, search in searches.items():
        curves[name] = []
        for length in LENGTHS:
            settings = (options.batch_size, options.repeats, options.xla)
            seconds, growth = measure(model, search(length), *settings)
            curves[name].append(seconds)
            each = 1000 * seconds / length
            print(f"| {name} | {length} | {seconds:.3f} | {each:.2f} | {growth / 2**10:.1f} |")
            sys.stdout.flush()
    if options.picture:
        draw(curves).savefig(options.picture, dpi=120)


def draw(curves):
    """Seconds against tokens, both axes linear."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, seconds in curves.items():
        axes.plot(LENGTHS, seconds, marker="o", label=name)
    axes.set_xlabel("tokens decoded")
    axes.set_ylabel("seconds a batch")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.legend()
    return figure


if __name__ == "__main__":
    main()
