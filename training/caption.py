"""Describes images: python -m training.caption --run RUN IMAGE ... [--picture attention.png]

A line for each image, JPEG, PNG, GIF or BMP. --picture draws where the model looked for each piece of the
first image's caption.
"""

from pathlib import Path

import command_line
from command_line import lines, quiet
from command_line.search_options import ABOUT_A_SOURCE, SearchOptions
from training import picture_files, run_kinds
from training.config import CaptioningConfig


def main(arguments=None) -> None:
    """Reads the command line and prints captions."""
    parser = command_line.parser("training.caption", __doc__)
    parser.add_argument("images", type=Path, nargs="+", help="files")
    parser.add_argument("--run", type=str, required=True, help="run folder of an image_captioner")
    parser.add_argument("--picture", type=Path, help="file to draw the attention into: *.png, *.svg, *.pdf")
    parser.add_argument("--layer", type=int, help="of the picture, from 0; the mean of all if absent")
    parser.add_argument("--head", type=int, help="of the picture, from 0; the mean of all if absent")
    command_line.add_checkpoint(parser)
    parser.add_class_arguments(SearchOptions, as_group=False, skip={"n_best", *ABOUT_A_SOURCE})
    options = parser.parse_args(arguments)
    for name in ("layer", "head"):
        if options[name] is not None and not options.picture:
            raise ValueError(f"`{name}` needs --picture. Received: {name}={options[name]} without it.")
    if options.picture:
        picture_files.check(options.picture)
    config = run_kinds.load_config(options.run, CaptioningConfig)
    search = SearchOptions.read(options).search(config.data.max_length)
    with quiet.start_up():
        from keras_transformer.captioner import Captioner
        from training.datasets.images import read_images
    captioner = Captioner.from_run(options.run, search, options.checkpoint)
    images = read_images(options.images, captioner.image_shape)
    if options.picture:
        from keras_transformer.attention_maps import attention_over_image

        ((pieces, weights),) = captioner.look(images[:1], options.layer, options.head)
        picture_files.write(attention_over_image(images[0], weights, pieces), options.picture)
    with lines.writer(None) as write:
        write(map(lines.one_line, captioner.translate(images)))


if __name__ == "__main__":
    command_line.run(main)
