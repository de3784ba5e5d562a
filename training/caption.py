"""Describes images with a run of a captioner: python -m training.caption --run RUN ...; see --help."""

import command_line
from training import predict


def main(arguments=None) -> None:
    """Reads the command line and predicts."""
    predict.main(arguments, "image_captioner")


if __name__ == "__main__":
    command_line.run(main)
