"""Says what images show: python -m training.classify --run RUN IMAGE ...

A line for each image, JPEG, PNG, GIF or BMP: its class, a tab, its probability.
"""

from pathlib import Path

import command_line
from command_line import lines, quiet
from training import run_kinds
from training.config import ImageClassificationConfig


def main(arguments=None) -> None:
    """Reads the command line and prints classes."""
    parser = command_line.parser("training.classify", __doc__)
    parser.add_argument("images", type=Path, nargs="+", help="files")
    parser.add_argument("--run", type=str, required=True, help="run folder of an attention_cnn")
    command_line.add_checkpoint(parser)
    options = parser.parse_args(arguments)
    run_kinds.load_config(options.run, ImageClassificationConfig)
    with quiet.start_up():
        import tensorflow as tf

        from keras_transformer.image_classifier import ImageClassifier
        from training.datasets.images import read_images
    classifier = ImageClassifier.from_run(options.run, options.checkpoint)
    read_images(options.images, classifier.image_shape)  # tells which file is no image
    encoded = tf.constant([path.read_bytes() for path in options.images])
    found = zip(*(x.numpy() for x in classifier(encoded)), strict=True)
    with lines.writer(None) as write:
        write(f"{lines.one_line(name.decode('utf-8'))}\t{probability:.4f}" for name, probability in found)


if __name__ == "__main__":
    command_line.run(main)
