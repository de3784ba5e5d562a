"""Names the classes of images or texts: python -m training.classify --run RUN ...; with a run, see --help."""

import command_line
from training import predict


def main(arguments=None) -> None:
    """Reads the command line and predicts."""
    predict.main(arguments, "attention_cnn", "text_classifier")


if __name__ == "__main__":
    command_line.run(main)
