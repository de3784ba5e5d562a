"""An imported Marian model against CTranslate2's conversion of it: python -m benchmarks.imported_translator

Greedy translations, texts to texts, tokenizers included, float32: by the run folder in Python, by its
export, and by CTranslate2 on what its own converter makes of the same folder. First all texts: each that
differs is printed with both log-probabilities. Then the speed. Each has a process of its own, and they take
turns, so that the noise of a shared machine hits all.

transformers and CTranslate2 are looked for in ENVIRONMENTS/transformers/bin/python; made, for example, by
    python3.11 -m venv .venv-peers/transformers
    .venv-peers/transformers/bin/pip install torch==2.13.0 transformers==5.24.0 ctranslate2==4.8.5
    .venv-peers/transformers/bin/pip install sentencepiece sacremoses
"""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import command_line
from benchmarks.peers import ROOT, Child, Peer, print_speeds
from benchmarks.train_step import machine
from keras_transformer_programs import child

INSTALL = "torch==2.13.0 transformers==5.24.0 ctranslate2==4.8.5 sentencepiece sacremoses"
PEERS = {
    "saved_model": Peer("keras_transformer, SavedModel", "ours", "saved_model"),
    "python": Peer("keras_transformer, Python", "ours", "python"),
    "ctranslate2": Peer("CTranslate2", "ctranslate2_converted", "", "transformers", INSTALL),
}


def main(arguments=None):
    """Compares and measures, and prints tables."""
    parser = command_line.parser("benchmarks.imported_translator", __doc__)
    parser.add_argument("--folder", type=Path, help="Marian folder; one of random weights if absent")
    parser.add_argument("--texts", type=Path, required=True, help="file with a text a line")
    parser.add_argument("--targets", type=Path, help="file in the other language; for random weights")
    parser.add_argument("--batches", type=list[int], default=[1, 8, 32], help="texts translated together")
    parser.add_argument("--number", type=int, default=96, help="texts of a turn; a fifth of it, one by one")
    parser.add_argument("--max_length", type=int, default=40, help="tokens of the longest translation")
    parser.add_argument("--threads", type=int, default=2, help="of each program")
    parser.add_argument("--rounds", type=int, default=5, help="turns, of which the medians count")
    parser.add_argument(
        "--environments", type=Path, default=Path(".venv-peers"), help="folder with the peers' environments"
    )
    options = parser.parse_args(arguments)
    print(shlex.join(["python", "-m", "benchmarks.imported_translator", *(arguments or sys.argv[1:])]))
    print(f"{machine(options.threads)}; median of {options.rounds} turns\n", flush=True)
    command_line.run(lambda: measure(options))


def measure(options):
    """Makes the run and its export, starts the programs, and prints the tables."""
    python, how_to_make = PEERS["ctranslate2"].python(options.environments.resolve())
    if how_to_make:
        raise ValueError(
            f"The environment of CTranslate2 must be there. Received: none; made by {how_to_make}."
        )
    with tempfile.TemporaryDirectory() as made:
        made = Path(made)
        folder = options.folder or made / "folder"
        if options.folder is None:
            texts = [options.texts, options.targets]
            run(python, "-m", "benchmarks.translation_peers.marian_folder", folder, *texts)
        run(*child.command("training.import_weights", folder, "--output", made / "run"))
        limit = ["--beam", 1, "--max_length", options.max_length]
        run(*child.command("serving.export", "--run", made / "run", "--output", made / "exported", *limit))
        told = {
            "texts": options.texts,
            "folder": folder,
            "run": made / "run",
            "exported": made / "exported/1",
        }
        told = {name: str(path.resolve()) for name, path in told.items()}
        told |= {"threads": options.threads, "max_length": options.max_length}
        children = {}
        try:
            start_all(children, told, options)
            print_speeds(children, options.batches, options.number, options.rounds)
        finally:
            for program in children.values():
                program.end()


def run(*command):
    """Runs a program to its end."""
    subprocess.run([*map(str, command)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def start_all(children, told, options):
    """Starts the programs one after the other, and prints how many of their translations are equal."""
    first = None
    for key, peer in PEERS.items():
        python, _ = peer.python(options.environments.resolve())
        children[key] = Child(peer, python, "translation_peers", told | {"variant": peer.variant})
        found = children[key].ready()["found"]
        if first is None:
            first, words = found, sorted(len(text.split()) for text, _ in found)
            different = len({text for text, _ in found})
            print(
                f"{len(found)} texts, {different} different translations of {words[0]} to {words[-1]} words"
            )
        pairs = list(zip(first, found, strict=True))
        gaps = [abs(a[1] - b[1]) for a, b in pairs if a[0] == b[0]]
        print(
            f"{peer.label}: {len(gaps)} equal, their log-probabilities to {max(gaps, default=0):.1e}",
            flush=True,
        )
        for number, (a, b) in enumerate(pairs):
            if a[0] != b[0]:
                print(f"  line {number + 1}: {a[1]:.5f} {a[0]}\n    {b[1]:.5f} {b[0]}")


if __name__ == "__main__":
    main()
