"""Images with captions or classes: by name, and from files."""

import numpy as np
import pytest
import tensorflow as tf

from training.datasets import images, scenes
from training.tasks.captioning import CaptionDataConfig
from training.tasks.images import ImageDataConfig


@pytest.fixture
def listed(tmp_path):
    """A TSV file of two images, a red PNG and a grey JPEG, of different sizes."""
    red = np.zeros((6, 4, 3), np.uint8) + np.array([200, 0, 0], np.uint8)
    (tmp_path / "red.png").write_bytes(tf.io.encode_png(red).numpy())
    (tmp_path / "grey.jpg").write_bytes(tf.io.encode_jpeg(np.full((8, 8, 1), 100, np.uint8)).numpy())
    (tmp_path / "list.tsv").write_text("red.png\ta red one\ngrey.jpg\ta grey one\n")
    return tmp_path / "list.tsv"


@pytest.mark.parametrize("load", [images.load_captions, images.load_classes])
def test_files_are_read_at_one_size(listed, load):
    kind = CaptionDataConfig if load is images.load_captions else ImageDataConfig
    config = kind("image_files", train=[str(listed)], image_size=[3, 5])
    found, texts = load(config, "train")
    assert found.shape == (2, 3, 5, 3) and found.dtype == np.uint8
    assert texts == ["a red one", "a grey one"]
    np.testing.assert_array_equal(found[0], np.broadcast_to([200, 0, 0], (3, 5, 3)))
    assert abs(found[1].astype(int) - 100).max() <= 2
    assert load(config, "validation") is None


def test_images_can_be_read_as_grey(listed):
    config = ImageDataConfig("image_files", train=[str(listed)], image_size=[2, 2], channels=1)
    assert images.load_classes(config, "train")[0].shape == (2, 2, 2, 1)


def test_digits_and_scenes():
    found, names = images.load_classes(ImageDataConfig(), "test")
    assert found.shape[1:] == (8, 8, 1) and len(found) == len(names) and set(names) >= {"zero", "nine"}
    config = CaptionDataConfig(num_examples=5)
    found, captions = images.load_captions(config, "train")
    expected = scenes.generate("train", 5, seed=0)
    assert found.dtype == np.uint8 and found.shape == (5, 24, 24, 1)
    np.testing.assert_array_equal(found[..., 0], [scene.image for scene in expected])
    assert captions == [scene.caption for scene in expected]
    assert len(images.load_captions(config, "test")[1]) == 1_000


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ImageDataConfig("digitz"), "Received: 'digitz'"),
        (ImageDataConfig("image_files"), "`data.train` must name"),
        (ImageDataConfig("digits", data_dir="x"), "`data_dir` is no option of the data set digits"),
        (ImageDataConfig("digits", train=["x"]), "`train` is no option of the data set digits"),
        (ImageDataConfig("image_files", data_dir="x"), "`data_dir` is no option of image_files"),
        (ImageDataConfig("image_files", train=["{list}"], image_size=[3]), "a height and a width"),
        (ImageDataConfig("image_files", train=["{list}"], channels=2), "channels=2"),
    ],
)
def test_what_cannot_be_used_is_refused(config, message, listed):
    config.train[:] = [name.format(list=listed) for name in config.train]
    with pytest.raises(ValueError, match=message):
        images.load_classes(config, "train")


def test_a_line_a_file_and_bytes_that_are_wrong_are_named(tmp_path):
    (tmp_path / "list.tsv").write_text("a.png\tone\nb.png\n")
    with pytest.raises(ValueError, match="line 2: 'b.png'"):
        images.read_rows(tmp_path / "list.tsv")
    with pytest.raises(FileNotFoundError, match="a.png"):
        images.read_images([tmp_path / "a.png"], (2, 2, 3))
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="Received: .*a.png"):
        images.read_images([tmp_path / "a.png"], (2, 2, 3))
