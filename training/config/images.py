"""What the training on images can be told: captions, or classes."""

from dataclasses import dataclass, field

from training.config.models import AttentionCNNConfig, ImageCaptionerConfig
from training.config.parts import CheckpointsConfig, OptimizerConfig, RunConfig, make_lists
from training.config.translation import QualityConfig, TokenizerConfig


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


@dataclass(frozen=True)
class CaptionDataConfig(ImageDataConfig):
    """Images with captions.

    Args:
        name: scenes_of_digits or scenes_of_garments, generated (training/datasets/scenes.py), or
            image_files.
        num_examples: for scenes: number of training images.
        distort: for scenes: whether each thing of a training image is turned, stretched and slanted a little.
        max_length: longest caption in tokens, end token included; images with longer ones are left out.
    """

    name: str = "scenes_of_digits"
    num_examples: int = 20_000
    distort: bool = False
    max_length: int = 64


def _no_smoothing():
    return OptimizerConfig(label_smoothing=0.0)


def _by_accuracy():
    return CheckpointsConfig(monitor="val_accuracy")


def _by_exact_match():
    return CheckpointsConfig(monitor="val_exact_match")


@dataclass(frozen=True)
class CaptioningConfig(RunConfig):
    """A run that makes a captioner.

    Args:
        data: the images and captions, and how they become batches.
        tokenizer: how a caption becomes ids.
        model: its sizes.
        quality: captions of the validation set during the training.
    """

    optimizer: OptimizerConfig = field(default_factory=_no_smoothing)
    checkpoints: CheckpointsConfig = field(default_factory=_by_exact_match)
    data: CaptionDataConfig = field(default_factory=CaptionDataConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: ImageCaptionerConfig = field(default_factory=ImageCaptionerConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)


@dataclass(frozen=True)
class ImageClassificationConfig(RunConfig):
    """A run that makes a classifier of images.

    Args:
        data: the images and their classes, and how they become batches.
        model: its sizes.
    """

    optimizer: OptimizerConfig = field(default_factory=_no_smoothing)
    checkpoints: CheckpointsConfig = field(default_factory=_by_accuracy)
    data: ImageDataConfig = field(default_factory=ImageDataConfig)
    model: AttentionCNNConfig = field(default_factory=AttentionCNNConfig)
