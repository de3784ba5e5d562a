"""Kills a training at random moments until it ends, and compares it with an undisturbed one.

python -m benchmarks.kill_and_resume --kills 20

The training is small (dates, one layer). Each kill is SIGKILL, at a random moment after the command began
to train, or while a checkpoint is written. In the end the metrics of every epoch and the weights must be
equal, bit by bit.
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import command_line
from command_line import quiet

OPTIONS = """
--config training/configs/dates.yaml --data.num_examples 4000 --model.num_layers 1 --model.hidden_dim 64
--model.intermediate_dim 96 --model.num_heads 2 --optimizer.warmup_steps 20 --fit.epochs 40
--fit.steps_per_epoch 5 --quality.num_pairs 20 --quality.num_shown 0
""".split()


def main(arguments=None):
    """Trains twice, once disturbed, and prints what was found."""
    parser = command_line.parser("benchmarks.kill_and_resume", __doc__)
    parser.add_argument("--kills", type=int, default=20, help="number of kills")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args(arguments)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        start(folder / "undisturbed", folder / "undisturbed.log").wait()
        resumed = in_saving = 0
        for number in range(options.kills):
            run, log = folder / "killed", folder / f"{number}.log"
            process = start(run, log)
            wait_for_training(process, log)
            # Most of the time is between two savings; some kills wait for one.
            if number % 4 == 0:
                while process.poll() is None and not (run / "checkpoints/resume/.incomplete").exists():
                    time.sleep(0.0005)
                in_saving += 1
            else:
                time.sleep(chance.uniform(0.0, 1.0))
            process.kill()
            process.wait()
            resumed += "going on after" in log.read_text(encoding="utf-8")
            print(f"kill {number + 1}: {epochs_of(run)} epochs were complete", flush=True)
        process = start(folder / "killed", folder / "last.log")
        process.wait()
        print(f"{options.kills} kills, {in_saving} of them while saving; {resumed + 1} trainings went on")
        same = records_of(folder / "killed") == records_of(folder / "undisturbed")
        print(f"metrics of all epochs {'equal' if same else 'DIFFER'}")
        weights = [weights_of(folder / name) for name in ("killed", "undisturbed")]
        same_weights = all((a == b).all() for a, b in zip(*weights, strict=True))
        print(f"weights {'equal' if same_weights else 'DIFFER'}, bit by bit")
        shutil.rmtree(folder / "killed")
    sys.exit(not (same and same_weights))


def start(run, log):
    """The training command as a process of its own; its output goes to `log`."""
    command = [sys.executable, "-u", "-m", "training.train", *OPTIONS, "--output", str(run)]
    with log.open("w", encoding="utf-8") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)


def wait_for_training(process, log):
    """Waits until the first epoch of this process is over, or the process is."""
    while process.poll() is None and "val_loss" not in log.read_text(encoding="utf-8"):
        time.sleep(0.05)


def records_of(run):
    """The metrics of a run, less the time that they took."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k not in ("seconds", "tokens_per_second")}
        for line in lines
    ]


def epochs_of(run):
    path = run / "metrics.jsonl"
    return path.read_text(encoding="utf-8").count("\n") if path.exists() else 0


def weights_of(run):
    with quiet.start_up():
        import keras

        import keras_transformer  # noqa: F401
    return keras.models.load_model(run / "model.keras", compile=False).get_weights()


if __name__ == "__main__":
    command_line.run(main)
