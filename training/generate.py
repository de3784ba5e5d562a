"""Continues texts with a run of a language model: python -m training.generate --run RUN ...; see --help."""

import command_line
from training import predict


def main(arguments=None) -> None:
    """Reads the command line and predicts."""
    predict.main(arguments, "causal_lm")


if __name__ == "__main__":
    command_line.run(main)
