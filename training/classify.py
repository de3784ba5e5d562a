"""Says what images show: python -m training.classify --run RUN IMAGE ...

A line for each image, JPEG, PNG, GIF or BMP: its class, a tab, its probability.
"""

import json
from pathlib import Path

import command_line
from command_line import quiet
from training import run_folder
from training.config import ImageClassificationConfig


def main(arguments=None):
    """Reads the command line and prints classes."""
    parser = command_line.parser("training.classify", __doc__)
    parser.add_argument("images", type=Path, nargs="+", help="files")
    parser.add_argument("--run", type=str, required=True, help="run folder of an attention_cnn")
    command_line.add_checkpoint(parser)
    options = parser.parse_args(arguments)
    config = run_folder.load_config(options.run)
    if not isinstance(config, ImageClassificationConfig):
        raise ValueError(
            f"`run` must be of an attention_cnn. Received: {options.run}, a {config.model.kind}."
        )
    with quiet.start_up():
        import keras

        from keras_transformer.checkpoints import checkpoint_path
        from training.datasets.images import read_images
    facts = json.loads((Path(options.run) / run_folder.IMAGES_FILE).read_text(encoding="utf-8"))
    *size, channels = facts["image_shape"]
    model = keras.models.load_model(checkpoint_path(options.run, options.checkpoint), compile=False)
    images = read_images(options.images, size, channels)
    probabilities = keras.ops.softmax(model.predict(images, verbose=0))
    for row in keras.ops.convert_to_numpy(probabilities):
        print(f"{facts['classes'][row.argmax()]}\t{row.max():.4f}")


if __name__ == "__main__":
    command_line.run(main)
