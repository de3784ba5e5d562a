"""Requests of several clients, alone and joined as TF Serving joins them: python -m benchmarks.batching

    python -m benchmarks.batching --versions '[exported/de-en/1, exported/de-en-xla/1]' --input test.de

Each client asks for one text and asks again when it has its answer. The version's `batching_params.pbtxt` is
followed, by TensorFlow's own BatchFunction: the same queue and the same scheduler as in TF Serving, in this
process, without gRPC. Alone every request runs at once, as TF Serving does it.
"""

import functools
import itertools
import json
import os
import re
import shlex
import sys
from pathlib import Path

import command_line
from benchmarks.decoding import machine
from command_line import quiet
from serving import batching
from serving.load_test import closed_loop

QUEUES = itertools.count()


def main(arguments=None):
    """Measures and prints a table."""
    parser = command_line.parser("benchmarks.batching", __doc__)
    parser.add_argument("--versions", type=list[str], required=True, help="folders DIR/VERSION of exports")
    parser.add_argument("--input", type=str, required=True, help="file with one text a line")
    parser.add_argument("--signature", type=str, default="translate", help="of one text")
    parser.add_argument("--clients", type=list[int], default=[1, 4, 16, 64], help="that ask at once")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each figure")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="num_batch_threads")
    options = parser.parse_args(arguments)
    print(shlex.join(["python", "-m", "benchmarks.batching", *(arguments or sys.argv[1:])]))
    print(machine(os.cpu_count()) + "\n")
    print(
        "| export | clients | alone: answers/s | p50, ms | p99, ms | joined: answers/s | p50, ms | p99, ms |"
    )
    print("|---|---|---|---|---|---|---|---|")
    texts = Path(options.input).read_text(encoding="utf-8").splitlines()
    with quiet.start_up():
        import tensorflow as tf
        import tensorflow_text  # noqa: F401
    for folder in map(Path, options.versions):
        owner = tf.saved_model.load(str(folder))
        alone = owner.signatures[options.signature]
        parameters = (folder / batching.FILE).read_text(encoding="utf-8")
        together = joined(alone, settings_of(parameters) | {"num_batch_threads": options.threads})
        for function in (alone, together):
            warm_up(function, folder, texts)
        for clients in options.clients:
            figures = []
            for function in (alone, together):
                result = closed_loop(functools.partial(ask, function, texts), options.seconds, clients)
                figures.append(
                    f"{result.rate:,.1f} | {result.percentile(50):,.0f} | {result.percentile(99):,.0f}"
                )
            print(f"| {folder.parent.name} | {clients} | {' | '.join(figures)} |", flush=True)


def settings_of(parameters: str) -> dict:
    """What a file of batching parameters sets, as far as BatchFunction has it: {name: number or list}."""
    found = re.findall(r"^(\w+)[^\n#]*?(\d+)", parameters, re.MULTILINE)
    settings = {name: int(value) for name, value in found}
    sizes = [int(value) for name, value in found if name == "allowed_batch_sizes"]
    return settings | ({"allowed_batch_sizes": sizes} if sizes else {})


def joined(function, settings):
    """A signature whose requests are joined.

    Args:
        function: of named tensors, (B, ...) each, and its answer.
        settings: arguments of `tf.nondifferentiable_batch_function`.
    """
    import tensorflow as tf

    specs, number = tf.nest.flatten(function.structured_input_signature), next(QUEUES)
    names, outputs = [spec.name for spec in specs], sorted(function.structured_outputs)

    @tf.nondifferentiable_batch_function(**settings, autograph=False)
    def batch(*inputs):
        found = function(**dict(zip(names, inputs, strict=True)))
        return [found[name] for name in outputs]

    @tf.function(input_signature=specs, autograph=False)
    def run(*inputs):
        with tf.name_scope(f"queue_{number}"):  # a name that is there twice is one queue
            return dict(zip(outputs, batch(*inputs), strict=True))

    return lambda **inputs: run(*(inputs[name] for name in names))


def warm_up(function, folder, texts):
    """Asks for what XLA compiles; and once for each number of rows, of which graphs are optimised."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    long = " ".join(texts[:10])
    for rows in manifest.get("xla", {}).get("rows", [1, 32]):
        for text in (texts[0], long):
            ask(function, [text], 0, rows)


def ask(function, texts, number, rows=1):
    """One request for the text of this number."""
    import tensorflow as tf

    return function(text=tf.constant([texts[number % len(texts)]] * rows))


if __name__ == "__main__":
    command_line.run(main)
