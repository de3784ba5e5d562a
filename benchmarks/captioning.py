"""How often captions of scenes are right, and whether the model looks at what it names.

    python -m benchmarks.captioning --run RUN [--picture scene.png]

The run is one of training/configs/scenes.yaml. On the test scenes, of digits that were in no training scene:
exact match; and for each thing that a right caption names, the share of the attention's mass that lies on the
thing's box while its name is written (mean over layers, and over the pieces of the name). A cell of the grid
that a box covers in part counts in part. A row for the mean over the heads, and one for each head: they share
the work, and not all look at what is named. Which one to read is chosen on the validation scenes.
"""

import statistics
from pathlib import Path

import numpy as np

import command_line
from benchmarks.train_step import machine
from command_line import quiet
from command_line.search_options import SearchOptions
from training import run_folder


def main():
    """Measures, and prints a table."""
    parser = command_line.parser("benchmarks.captioning", __doc__)
    parser.add_argument("--run", type=str, required=True, help="run folder of an image_captioner of scenes")
    parser.add_argument("--num_scenes", type=int, default=1000, help="test scenes")
    parser.add_argument("--picture", type=Path, help="file to draw the first scene's attention into")
    parser.add_class_arguments(SearchOptions, as_group=False, skip={"n_best", "max_ratio", "min_ratio"})
    options = parser.parse_args()
    command_line.run(lambda: measure(options))


def measure(options):
    """See the module."""
    with quiet.start_up():
        from keras_transformer.pipelines.captioner import Captioner
        from training.datasets import images, scenes

    data = run_folder.load_config(options.run).data
    search = SearchOptions.read(options)
    captioner = Captioner.from_run(options.run, search.search(data.max_length))
    found = {
        split: scenes.generate(split, options.num_scenes, 0, images.SCENES[data.name], data.data_dir)
        for split in ("validation", "test")
    }
    print(f"python -m benchmarks.captioning --run {options.run}; {machine(2)}; {search}\n")
    num_right = sum(
        caption == scene.caption
        for caption, scene in zip(captioner.caption(pixels(found["test"])), found["test"], strict=True)
    )
    print(f"exact match: {num_right / options.num_scenes:.1%} of {options.num_scenes:,}\n")
    print("| heads | validation: most of the mass on the box | test: most | mean | median |")
    print("|---|---|---|---|---|")
    num_heads = 1 if captioner.model.decoder_name == "gru" else captioner.model.num_heads or 4
    for head in (None, *(range(num_heads) if num_heads > 1 else ())):
        shares = {split: on_boxes(captioner, found[split], head) for split in found}
        most = {split: np.mean(np.array(values) > 0.5) for split, values in shares.items()}
        print(
            f"| {'mean of all' if head is None else head} | {most['validation']:.1%} | "
            f"{most['test']:.1%} of {len(shares['test']):,} names | {np.mean(shares['test']):.1%} | "
            f"{statistics.median(shares['test']):.1%} |",
            flush=True,
        )
    if options.picture:
        from keras_transformer.attention_maps import attention_over_image

        first = pixels(found["test"][:1])
        ((pieces, weights),) = captioner.look(first)
        attention_over_image(first[0], weights, pieces).savefig(options.picture)


def pixels(found):
    """Of scenes: (N, H, W, 1)."""
    return np.stack([scene.image for scene in found])[..., None]


def on_boxes(captioner, found, head) -> list[float]:
    """The share of the attention's mass on the box, for each thing that a right caption names."""
    shares = []
    for start in range(0, len(found), 50):
        part = found[start : start + 50]
        for scene, (pieces, weights) in zip(part, captioner.look(pixels(part), head=head), strict=True):
            texts = [piece.replace("▁", " ") for piece in pieces[:-1]]  # without the end
            if "".join(texts).strip() != scene.caption:
                continue
            offset = len("".join(texts)) - len(scene.caption)  # of the space before the first word
            ends = np.cumsum([len(text) for text in texts]) - offset
            for thing in scene.things:
                begins = np.concatenate([[0], ends[:-1]])
                is_name = (begins < thing.span[1]) & (ends > thing.span[0])
                covered = cover(thing.box, scene.image.shape, weights.shape[1:])
                shares.append(float((weights[: len(ends)][is_name].mean(0) * covered).sum()))
    return shares


def cover(box, image_shape, grid_shape):
    """How much of each cell of a grid over the image a box covers, (H', W'), 0 to 1.

    Args:
        box: (top, left, bottom, right) in pixels.
        image_shape: (H, W).
        grid_shape: (H', W').
    """
    parts = []
    for begin, end, size, cells in zip(box[:2], box[2:], image_shape, grid_shape, strict=True):
        edges = np.linspace(0, size, cells + 1)
        overlap = np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin)
        parts.append(np.maximum(overlap, 0) / np.diff(edges))
    return np.outer(*parts)


if __name__ == "__main__":
    main()
