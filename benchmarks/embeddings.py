"""Texts embedded per second, against PyTorch and ONNX Runtime: python -m benchmarks.embeddings

The same weights, say all-MiniLM-L6-v2: `--folder` as sentence-transformers saves it, `--run` what
`import_weights` made of it, `--exported` the version folder that `export` made of that. A list of texts to
vectors, tokenizers included, float32. Each has a process of its own, and they take turns, so that the noise
of a shared machine hits all. Before that each shows its vectors of 1,000 texts: they must be ours to 1e-5.

The others are looked for in ENVIRONMENTS/NAME/bin/python; made, for example, by
    python3.11 -m venv .venv-peers/transformers
    .venv-peers/transformers/bin/pip install torch==2.13.0 transformers==5.24.0
"""

import shlex
import sys
from pathlib import Path
from typing import Literal

import numpy as np

import command_line
from benchmarks.peers import Child, Peer, print_speeds
from benchmarks.train_step import machine

TORCH = "torch==2.13.0 transformers==5.24.0"
ONNX = f"{TORCH} onnxruntime==1.32.0 onnx onnxscript"
PEERS = {
    "ours": Peer("keras_transformer, `embed` of the list", "ours", "list"),
    "calls": Peer("keras_transformer, `embed` of each batch", "ours", "calls"),
    "xla": Peer("keras_transformer, `embed` of the list by XLA", "ours", "xla"),
    "saved_model": Peer("keras_transformer, SavedModel", "served", "saved_model"),
    "grpc": Peer("keras_transformer, SavedModel over gRPC (test double)", "served", "grpc"),
    "torch": Peer("transformers, PyTorch", "pytorch", "", "transformers", TORCH),
    "onnx": Peer("ONNX Runtime", "onnx_runtime", "", "onnxruntime", ONNX),
}


def main(arguments=None):
    """Measures and prints a table."""
    parser = command_line.parser("benchmarks.embeddings", __doc__)
    parser.add_argument("--folder", type=Path, required=True, help="folder with config.json and weights")
    parser.add_argument("--run", type=Path, required=True, help="run folder that was made of it")
    parser.add_argument("--exported", type=Path, help="version folder that `export` made of the run")
    parser.add_argument("--texts", type=Path, required=True, help="file with a text a line")
    parser.add_argument("--peers", type=list[Literal[*PEERS]], default=list(PEERS), help="what is measured")
    parser.add_argument("--batches", type=list[int], default=[1, 32], help="texts embedded together")
    parser.add_argument("--number", type=int, default=640, help="texts of a turn; a fifth of it, one by one")
    parser.add_argument("--threads", type=int, default=2, help="of each program")
    parser.add_argument("--rounds", type=int, default=7, help="turns, of which the medians count")
    parser.add_argument(
        "--environments", type=Path, default=Path(".venv-peers"), help="folder with the peers' environments"
    )
    options = parser.parse_args(arguments)
    print(shlex.join(["python", "-m", "benchmarks.embeddings", *(arguments or sys.argv[1:])]))
    print(f"{machine(options.threads)}; median of {options.rounds} turns\n")
    command_line.run(lambda: measure(options))


def measure(options):
    """Starts the programs, and prints the table."""
    children = {}
    try:
        start_all(children, options)
        print_speeds(children, options.batches, options.number, options.rounds)
    finally:
        for child in children.values():
            child.end()


def start_all(children, options):
    """Starts the programs one after the other, and prints how near their vectors are to the first one's."""
    told = {name: getattr(options, name) for name in ("texts", "folder", "run", "exported")}
    told = {name: str(path.resolve()) for name, path in told.items() if path} | {"threads": options.threads}
    first = None
    print("| | largest difference of a vector | ready after |")
    print("|---|---|---|")
    for key in options.peers:
        peer = PEERS[key]
        if peer.program == "served" and options.exported is None:
            print(f"| {peer.label} | not measured: no `--exported` | |")
            continue
        python, how_to_make = peer.python(options.environments)
        if how_to_make:
            print(f"| {peer.label} | not installed: {how_to_make} | |")
            continue
        children[key] = Child(peer, python, "embedding_peers", told | {"variant": peer.variant})
        ready = children[key].ready()
        vectors = np.array(ready["vectors"])
        first = vectors if first is None else first
        difference = np.abs(vectors - first).max()
        print(f"| {peer.label} | {difference:.1e} | {ready['seconds']:.0f} s |", flush=True)
        if not difference < 1e-5:
            raise ValueError(
                f"{peer.label} must have the vectors of the others. Received: {difference:.1e} off."
            )


if __name__ == "__main__":
    main()
