"""Target tokens per second of a training step, against other libraries: python -m benchmarks.train_step

All take the same batches (random ids, a fifth of them padding), with the same dimensions, Adam, label
smoothing and dropout in the paper's places (section 5.4), in float32 unless a row says otherwise. Each has a
process of its own, and they take turns, a few steps each, so that the noise of a shared machine hits all.
Before that each shows that it trains the same thing: number of parameters, loss at the start near log V, no
weight that stays as it was.

A library other than Keras is looked for in ENVIRONMENTS/NAME/bin/python; made, for example, by
    python3.11 -m venv .venv-peers/torch && .venv-peers/torch/bin/pip install torch==2.13.0 numpy
"""

import math
import os
import platform
import re
import shlex
import statistics
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np

import command_line
from benchmarks.peers import Child, Peer

DROPOUT, LABEL_SMOOTHING = 0.1, 0.1
MODELS = {
    "3x256": dict(num_layers=3, hidden_dim=256, num_heads=8, intermediate_dim=512, vocabulary_size=8_000),
    "tiny": dict(num_layers=4, hidden_dim=128, num_heads=4, intermediate_dim=256, vocabulary_size=10_000),
    "smoke": dict(num_layers=1, hidden_dim=16, num_heads=2, intermediate_dim=32, vocabulary_size=50),
}


KERAS_HUB = ("keras_hub", "keras-hub==0.32.0 tensorflow==2.21.0 keras==3.15.1")
TORCH = ("torch", "torch==2.13.0 numpy")
OPENNMT_TF = ("opennmt_tf", "'opennmt-tf[tensorflow]==2.32.0'")
PEERS = {
    "fit": Peer("keras_transformer, `fit`", "ours", "fit"),
    "step": Peer("keras_transformer, the step alone", "ours", "step"),
    "xla": Peer("keras_transformer, `fit`, XLA", "ours", "xla"),
    "bfloat16": Peer("keras_transformer, `fit`, mixed_bfloat16", "ours", "bfloat16"),
    "keras_hub": Peer("KerasHub's layers, `fit`", "keras_hub_layers", "fit", *KERAS_HUB),
    "keras_hub_xla": Peer("KerasHub's layers, `fit`, XLA", "keras_hub_layers", "xla", *KERAS_HUB),
    "keras_hub_our_loss": Peer("KerasHub's layers, our loss", "keras_hub_layers", "our_loss", *KERAS_HUB),
    "torch": Peer("PyTorch `nn.Transformer`, eager", "torch_transformer", "eager", *TORCH),
    "torch_compile": Peer("PyTorch `nn.Transformer`, torch.compile", "torch_transformer", "compile", *TORCH),
    "opennmt_tf": Peer("OpenNMT-tf", "opennmt_tf", "graph", *OPENNMT_TF),
    "opennmt_tf_xla": Peer("OpenNMT-tf, XLA", "opennmt_tf", "xla", *OPENNMT_TF),
}


def main(arguments=None):
    """Measures and prints a table for each model."""
    parser = command_line.parser("benchmarks.train_step", __doc__)
    parser.add_argument("--models", type=list[Literal[*MODELS]], default=["3x256", "tiny"], help="sizes")
    parser.add_argument("--peers", type=list[Literal[*PEERS]], default=list(PEERS), help="what is measured")
    parser.add_argument("--batch_size", type=int, default=128, help="sentence pairs")
    parser.add_argument("--length", type=int, default=24, help="tokens of each, source and target")
    parser.add_argument("--threads", type=int, default=2, help="of each library")
    parser.add_argument("--rounds", type=int, default=7, help="turns, of which the medians count")
    parser.add_argument("--steps", type=int, default=3, help="training steps of a turn")
    parser.add_argument(
        "--environments", type=Path, default=Path(".venv-peers"), help="folder with the peers' environments"
    )
    options = parser.parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    print(shlex.join(["python", "-m", "benchmarks.train_step", *given]))
    print(machine(options.threads))
    command_line.run(lambda: [measure(name, options) for name in options.models])


def machine(threads):
    """Versions, processor and number of threads, one line."""
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in ("tensorflow", "keras"))
    cpu_info = Path("/proc/cpuinfo")
    text = cpu_info.read_text(encoding="utf-8") if cpu_info.exists() else ""
    found = re.search("model name\\s*: (.*)", text)
    cpu = found[1] if found else platform.machine()
    return f"{versions}; {cpu}, {os.cpu_count()} CPUs, {threads} threads"


def measure(name, options):
    """Prints the tables of one model."""
    with tempfile.TemporaryDirectory() as folder:
        batches = Path(folder, "batches.npz")
        vocabulary_size = MODELS[name]["vocabulary_size"]
        padding = write_batches(batches, options.batch_size, options.length, vocabulary_size)
        print(
            f"\n{name}: {MODELS[name]}\n"
            f"{options.batch_size} x {options.length} tokens, {padding:.0%} padding; "
            f"median of {options.rounds} turns of {options.steps} steps\n"
        )
        children = {}
        try:
            start_all(children, name, batches, options)
            print_times(children, options)
        finally:
            for child in children.values():
                child.end()


def write_batches(path, batch_size, length, vocabulary_size, number=8):
    """Random sentences of 0.6 to 1 times the length; returns the share of padding."""
    generator = np.random.default_rng(0)

    def sentences():
        ids = generator.integers(4, vocabulary_size, (number, batch_size, length + 1), "int32")
        lengths = generator.integers(math.ceil(0.6 * length), length, (number, batch_size, 1), endpoint=True)
        lengths[:, 0] = length
        return ids, lengths

    source, source_lengths = sentences()
    target, target_lengths = sentences()
    positions = np.arange(length)
    source_ids = np.where(positions < source_lengths, source[..., :-1], 0)
    target_ids = np.where(positions < target_lengths, target[..., :-1], 0)
    labels = np.where(positions < target_lengths, target[..., 1:], 0)
    np.savez(path, source_ids=source_ids, target_ids=target_ids, labels=labels)
    return float(np.mean(labels == 0))


def start_all(children, name, batches, options):
    """Starts the programs one after the other, and prints what they are."""
    print("| | parameters | first loss | weights that never change | ready after |")
    print("|---|---|---|---|---|")
    for key in options.peers:
        peer = PEERS[key]
        python, how_to_make = peer.python(options.environments)
        if how_to_make:
            print(f"| {peer.label} | not installed: {how_to_make} | | | |")
            continue
        children[key] = child = Child(
            peer, python, "training_peers", specification(peer, name, batches, options)
        )
        ready = child.ready()
        child.parameters = ready["parameters"]
        print(
            f"| {peer.label} | {ready['parameters']:,} | {ready['first_loss']:.2f} | {ready['unchanged']} "
            f"| {ready['seconds']:.0f} s |",
            flush=True,
        )
        # Unscaled logits give log V, logits of unit variance half a nat more.
        expected = math.log(MODELS[name]["vocabulary_size"])
        if not abs(ready["first_loss"] - expected) < 1.5 or ready["unchanged"]:
            raise ValueError(f"{peer.label} does not train the same model: {ready}, log V = {expected:.2f}.")
        children_parameters = [child.parameters for child in children.values()]
        if max(children_parameters) > 1.03 * min(children_parameters):
            raise ValueError(f"{peer.label} has another number of parameters: {children_parameters}.")


def specification(peer, name, batches, options):
    """What a program of benchmarks/training_peers is told; see its `child.serve`."""
    return {
        "batches": str(batches),
        "variant": peer.variant,
        "threads": options.threads,
        "sizes": MODELS[name],
        "dropout": DROPOUT,
        "label_smoothing": LABEL_SMOOTHING,
    }


def print_times(children, options):
    """Asks the programs in turn, and prints medians and ratios."""
    rounds = []
    for _ in range(options.rounds):
        rounds.append({key: child.ask(options.steps) for key, child in children.items()})
    tokens = options.batch_size * options.length * options.steps
    first = next(iter(children))
    print(f"\n| | tokens/s | lowest and highest | {PEERS[first].label} is faster by |")
    print("|---|---|---|---|")
    for key in children:
        speeds = [tokens / times[key] for times in rounds]
        ratio = statistics.median(times[key] / times[first] for times in rounds)
        extremes = f"{min(speeds):,.0f} to {max(speeds):,.0f}"
        print(f"| {PEERS[key].label} | {statistics.median(speeds):,.0f} | {extremes} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
