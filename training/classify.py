"""Says what images show with a run of a classifier: python -m training.classify --run RUN ...; see --help."""

import command_line
from training import predict


def main(arguments=None) -> None:
    """Reads the command line and predicts."""
    predict.main(arguments, "attention_cnn")


if __name__ == "__main__":
    command_line.run(main)
