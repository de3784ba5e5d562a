"""Trains a model and leaves a run folder.

python -m training.train --config dates [--output RUN] [--model.num_layers 4 ...]

With --dry_run it trains nothing, and prints parameters, steps, shapes of batches, and what a few steps in a
process of their own take of time and memory.
"""

import sys
from pathlib import Path

import command_line
from command_line import quiet
from keras_transformer_programs import hints
from training import config as configs
from training.config import parse
from training.config.files import CONFIG_HELP, ConfigFile


def main(arguments=None) -> None:
    """Reads the command line and trains."""
    parser = command_line.parser("training.train", __doc__)
    parser.add_argument("--config", action=ConfigFile, help=CONFIG_HELP)
    parser.add_argument("--output", type=str, help="run folder to make; default: runs/NAME-OF-THE-CONFIG")
    parser.add_argument(
        "--dry_run", action="store_true", help="print what the training would do and cost, and train nothing"
    )
    parser.add_argument(
        "--continue",
        action="store_true",
        help="go on with a run that is finished, for more fit.epochs; see docs/training.md",
    )
    parser.add_argument(
        "--accept_changed_data",
        action="store_true",
        help="go on with a training although the data is not what it began with",
    )
    given = sys.argv[1:] if arguments is None else list(arguments)
    example = "--output runs/mine --data.train train.tsv --data.validation validation.tsv"
    options, config = parse(parser, given, "train", example)
    configs.check(config)
    name = Path(str(options.config[0])).stem if options.config else config.data.name
    with quiet.start_up():
        from training.fitting import dry_run, train
    if options.dry_run:
        print(dry_run(config))
        return
    output = Path(options.output or Path("runs") / name)
    try:
        train(config, output, options["continue"], options.accept_changed_data)
    except KeyboardInterrupt:
        command = hints.command("training.train", *given)
        rest = f"the same command goes on: {command}" if output.exists() else "nothing was learnt yet"
        print(f"\ninterrupted; {rest}", file=sys.stderr)
        raise


if __name__ == "__main__":
    command_line.run(main)
