"""Fills gaps with a run of a masked language model: python -m training.fill --run RUN ...; see --help."""

import command_line
from training import predict


def main(arguments=None) -> None:
    """Reads the command line and predicts."""
    predict.main(arguments, "masked_lm")


if __name__ == "__main__":
    command_line.run(main)
