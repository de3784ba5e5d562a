"""Images: what the tasks that read them have in common."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from training.run_config import RunConfig, make_lists
from training.tasks.base import Task, rounded_up


@dataclass(frozen=True)
class ImageDataConfig:
    """Images, what belongs to each, and how they become batches.

    Args:
        name: digits (scikit-learn's), fashion_mnist, or image_files.
        data_dir: of fashion_mnist: folder with its four files; None for where Debian's package
            dataset-fashion-mnist puts them.
        train: for image_files: TSV files, each line an image's path, a tab, its class or caption. Paths are
            relative to the file's folder.
        validation: for image_files: like train; none to train without validation.
        test: for image_files: like train.
        image_size: for image_files: height and width in pixels, to which images are resized.
        channels: for image_files: 1 reads them as grey, 3 in colours.
        batch_size: images in a batch.
        flip: whether half of the training images are mirrored, left to right.
        shift: pixels by which training images are moved at most, in each direction.
    """

    name: str = "digits"
    data_dir: str | None = None
    train: list[str] | str = field(default_factory=list)
    validation: list[str] | str = field(default_factory=list)
    test: list[str] | str = field(default_factory=list)
    image_size: list[int] = field(default_factory=lambda: [224, 224])
    channels: int = 3
    batch_size: int = 128
    flip: bool = False
    shift: int = 0

    def __post_init__(self):
        make_lists(self, "train", "validation", "test")


class ImageTask(Task):
    """See `Task`; the configuration's `data` is an `ImageDataConfig`."""

    @classmethod
    def other_files(cls, config, files, facts) -> RunConfig:
        config = super().other_files(config, files, facts)
        *size, channels = facts["image_shape"]
        data = replace(config.data, name="image_files", image_size=size, channels=channels)
        return replace(config, data=data)

    def load_facts(self, folder) -> dict:
        from keras_transformer.saving.run_files import image_facts

        return image_facts(folder)

    def likely_sizes(self) -> dict:
        side = 2 ** (len(self.config.model.filters) + 2)  # each block halves it
        return {"image_shape": (side, side, 3)}

    def largest_shape(self, row_multiple=1) -> tuple[int, ...]:
        return rounded_up(self.config.data.batch_size, row_multiple), *self.sizes["image_shape"]

    def array_batches(self, split, inputs, labels, row_multiple) -> Any:
        """`pipeline.ArrayBatches`; in training mirrored and moved, if the configuration says so.

        Args:
            split: "train", "validation" or "test".
            inputs: images (N, H, W, C), or a dictionary that has them as "image".
            labels: (N, ...).
            row_multiple: see `batches`.
        """
        from training import pipeline

        data = self.config.data

        def change(inputs, labels, generator):
            if isinstance(inputs, dict):
                image = pipeline.flipped_and_shifted(inputs["image"], data.flip, data.shift, generator)
                return {**inputs, "image": image}, labels
            return pipeline.flipped_and_shifted(inputs, data.flip, data.shift, generator), labels

        return pipeline.ArrayBatches(
            inputs,
            labels,
            batch_size=data.batch_size,
            shuffle=split == "train",
            seed=self.config.fit.seed,
            change=change if split == "train" and (data.flip or data.shift) else None,
            row_multiple=row_multiple,
        )

    @classmethod
    def add_options(cls, parser) -> None:
        parser.add_argument("images", type=Path, nargs="+", help="files")
