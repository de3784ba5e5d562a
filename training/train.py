"""Trains a model and leaves a run folder.

python -m training.train --config training/configs/dates.yaml [--output RUN] [--model.num_layers 4 ...]

With --dry_run it trains nothing, and prints parameters, steps, shapes of batches, and what a few steps in a
process of their own take of time and memory.
"""

from pathlib import Path

import command_line
from command_line import quiet
from training.config import config_class, kind_of
from training.config.files import CONFIG_HELP, ConfigFile


def main(arguments=None):
    """Reads the command line and trains."""
    parser = command_line.parser("training.train", __doc__)
    parser.add_argument("--config", action=ConfigFile, help=CONFIG_HELP)
    parser.add_argument("--output", type=str, help="run folder to make; default: runs/NAME-OF-THE-CONFIG")
    parser.add_argument(
        "--dry_run", action="store_true", help="print what the training would do and cost, and train nothing"
    )
    # Its fields are those of the model that is asked for.
    kind = config_class(kind_of(arguments))
    parser.add_class_arguments(kind, as_group=False)
    options = parser.parse_args(arguments)
    config = command_line.instantiate(parser, options, kind)
    name = Path(str(options.config[0])).stem if options.config else config.data.name
    with quiet.start_up():
        from training.fitting import dry_run, train
    if options.dry_run:
        print(dry_run(config))
        return
    train(config, Path(options.output or Path("runs") / name))


if __name__ == "__main__":
    command_line.run(main)
