"""Translates texts with a run of a translator: python -m training.translate --run RUN ...; see --help."""

import command_line
from training import predict


def main(arguments=None) -> None:
    """Reads the command line and predicts."""
    predict.main(arguments, "transformer")


if __name__ == "__main__":
    command_line.run(main)
