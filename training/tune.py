"""Searches for values of a configuration: many trainings, each in a process of its own.

python -m training.tune --config dates --space transformer \
    --output sweeps/dates [--model.num_layers 4 ...]

A sweep that was interrupted goes on by the same command. See docs/tuning.md.
"""

import sys
from pathlib import Path
from typing import Literal

import command_line
from command_line import quiet
from training.config import parse
from training.config.files import CONFIG_HELP, ConfigFile
from training.sweep import settings, space, worker


def main(arguments=None) -> None:
    """Reads the command line and searches."""
    parser = command_line.parser("training.tune", __doc__)
    parser.add_argument("--config", action=ConfigFile, help=CONFIG_HELP)
    parser.add_argument(
        "--space",
        type=str,
        required=True,
        help="YAML file with what may differ, or the name of one that comes along: transformer, ...",
    )
    parser.add_argument(
        "--output", type=str, required=True, help="folder of the sweep, to make or to go on in"
    )
    parser.add_argument(
        "--tuner",
        type=Literal[settings.TUNERS],
        default="random",
        help="how values are chosen; hyperband trains many for a few epochs and the best for fit.epochs",
    )
    parser.add_argument(
        "--objective", type=str, help="entry of metrics.jsonl to be made best; default: checkpoints.monitor"
    )
    parser.add_argument(
        "--mode",
        type=Literal["max", "min"],
        help="which values of the objective are good; known of those in our own logs",
    )
    parser.add_argument(
        "--max_trials",
        type=int,
        help=f"so many trials; default: {settings.DEFAULT_TRIALS}, and for hyperband as many as it has",
    )
    parser.add_argument("--minutes", type=float, help="no trial begins after so many minutes of training")
    parser.add_argument("--tokens", type=int, help="no trial begins after so many target tokens of training")
    parser.add_argument("--workers", type=int, default=1, help="trials at the same time on this machine")
    parser.add_argument("--seed", type=int, default=0, help="of the choices; that of a training is fit.seed")
    given = sys.argv[1:] if arguments is None else arguments
    data = "--data.train train.tsv --data.validation validation.tsv"
    options, config = parse(parser, given, "tune", f"--space transformer --output sweeps/mine {data}")
    if options.workers < 1:
        raise ValueError(f"`workers` must be a positive integer. Received: workers={options.workers}.")
    role = worker.role()
    if role != "alone" and options.workers > 1:
        raise ValueError(
            f"`workers` are of one machine; {worker.VARIABLES[0]} is for several. "
            f"Received: workers={options.workers} and both."
        )
    names = ("tuner", "objective", "mode", "seed", *settings.LIMITS)
    chosen = {name: options[name] for name in names}
    sweep = settings.make(config, space.read(options.space, config), **chosen)
    output = Path(options.output)
    settings.check_same(sweep, output)
    if role == "worker":
        worker.work(sweep, output, "training.train")
        return
    with quiet.start_up():
        from training.sweep import running
    running.run(sweep, output, options.workers, is_chief=role == "chief")


if __name__ == "__main__":
    command_line.run(main)
