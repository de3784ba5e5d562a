import gzip

import numpy as np
import pytest

from training.datasets import pictures


@pytest.fixture
def fashion(tmp_path):
    """The four upstream files, small: picture n holds n, and its label is n % 10."""
    for stem, count in (("train", 5_003), ("t10k", 7)):
        numbers = np.arange(count)
        images = np.broadcast_to((numbers % 251).astype(np.uint8)[:, None, None], (count, 2, 3))
        for name, array in (("images-idx3", images), ("labels-idx1", (numbers % 10).astype(np.uint8))):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (tmp_path / f"{stem}-{name}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
    return tmp_path


def test_every_digit_is_in_one_split_and_in_its_order():
    from sklearn.datasets import load_digits

    parts = [pictures.load("digits", split) for split in pictures.SPLITS]
    assert [len(part.images) for part in parts] == [1437, 180, 180]
    images = np.concatenate([part.images for part in parts])
    assert images.dtype == np.uint8 and images.shape == (1797, 8, 8) and images.max() == 255
    np.testing.assert_allclose(images / 255, load_digits().images / 16, atol=0.5 / 255)
    labels = np.concatenate([part.labels for part in parts])
    np.testing.assert_array_equal(labels, load_digits().target)
    for part in parts:
        assert set(part.labels) == set(range(10)) and part.names[7] == "seven"


@pytest.mark.parametrize(
    ("split", "numbers"),
    [("train", range(3)), ("validation", range(3, 5_003)), ("test", range(7))],
)
def test_garments_are_read_from_the_upstream_files(fashion, split, numbers):
    found = pictures.load("fashion_mnist", split, fashion)
    assert found.images.shape == (len(numbers), 2, 3) and found.images.dtype == np.uint8
    np.testing.assert_array_equal(found.images[:, 1, 2], np.array(numbers) % 251)
    np.testing.assert_array_equal(found.labels, np.array(numbers) % 10)
    assert len(found.names) == 10 and found.names[9] == "ankle boot"


def test_a_file_that_is_missing_is_named(fashion):
    (fashion / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="must hold t10k-labels-idx1-ubyte.gz.*Received: data_dir="):
        pictures.load("fashion_mnist", "test", fashion)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-9], "must be a gzip file"),
        (lambda data: b"no gzip", "must be a gzip file"),
        (lambda data: data[:20] + b"\x00\x00\x00" + data[23:], "must be a gzip file"),
        (lambda data: gzip.compress(gzip.decompress(data)[:-1]), "must be an IDX file of bytes with 3 axes"),
        (lambda data: gzip.compress(b"\x00\x00\x08"), "must be an IDX file of bytes with 3 axes"),
        (lambda data: gzip.compress(b"\x00\x00\x09\x03" + bytes(12)), "must be an IDX file of bytes"),
    ],
)
def test_a_damaged_file_is_refused(fashion, damage, message):
    path = fashion / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        pictures.load("fashion_mnist", "test", fashion)


def test_another_number_of_labels_is_refused(fashion):
    train = (fashion / "train-labels-idx1-ubyte.gz").read_bytes()
    (fashion / "t10k-labels-idx1-ubyte.gz").write_bytes(train)
    with pytest.raises(ValueError, match="one label for each picture. Received: 5003 for 7"):
        pictures.load("fashion_mnist", "test", fashion)


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="one of digits, fashion_mnist. Received: 'mnist'"):
        pictures.load("mnist", "test")
    with pytest.raises(ValueError, match="one of train, validation, test. Received: 'dev'"):
        pictures.load("digits", "dev")
    with pytest.raises(ValueError, match="`data_dir` is no option of digits"):
        pictures.load("digits", "test", tmp_path)
