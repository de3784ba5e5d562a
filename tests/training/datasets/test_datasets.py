"""`datasets.load` by name, and the sets of tensorflow-datasets."""

from functools import partial

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from training import datasets

PORTUGUESE = "tfds:ted_hrlr_translate/pt_to_en"


def mocked_pairs(self, split, **kwargs):
    """Two pairs of the builder's languages: the text says language, split and number."""
    sides = {lang: [f"{lang} {split} {i}" for i in range(2)] for lang in self.info.features.languages}
    return tf.data.Dataset.from_tensor_slices(sides)


@pytest.fixture
def mock_data():
    with tfds.testing.mock_data(as_dataset_fn=mocked_pairs):
        yield


def pairs_of(dataset):
    return [tuple(side.decode() for side in pair) for pair in dataset.as_numpy_iterator()]


def test_an_unknown_name_is_refused_and_the_allowed_ones_named():
    with pytest.raises(ValueError, match="dates, multi30k, parallel_text, tfds:NAME/CONFIG. Received: 'wmt'"):
        datasets.load("wmt", "train")


def test_an_unknown_split_is_refused():
    for name in ("dates", "multi30k", "parallel_text", PORTUGUESE):
        with pytest.raises(ValueError, match="one of train, validation, test. Received: 'dev'"):
            datasets.load(name, "dev")


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("dates", {"data_dir": "/data"}),
        ("dates", {"source": "de"}),
        ("multi30k", {"files": ["a", "b"]}),
        ("parallel_text", {"target": "en"}),
        ("parallel_text", {"data_dir": "/data"}),
        (PORTUGUESE, {"files": ["a.tsv"]}),
    ],
)
def test_an_option_that_the_set_would_ignore_is_refused(name, option):
    with pytest.raises(ValueError, match=f"`{next(iter(option))}` is no option of the data set"):
        datasets.load(name, "train", **option)


def test_dates_by_name():
    pairs = pairs_of(datasets.load("dates", "train", num_examples=7, seed=2))
    assert len(pairs) == 7
    assert pairs != pairs_of(datasets.load("dates", "train", num_examples=7, seed=3))


def test_every_set_has_two_scalar_strings(tmp_path, mock_data):
    (tmp_path / "a.tsv").write_text("eins\tone\n")
    for dataset in (
        datasets.load("dates", "test"),
        datasets.load("parallel_text", "train", files=[str(tmp_path / "a.tsv")]),
        datasets.load(PORTUGUESE, "train"),
    ):
        assert dataset.element_spec == (tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.string))


def test_a_tfds_set_gives_its_own_direction(mock_data):
    assert pairs_of(datasets.load(PORTUGUESE, "validation")) == [
        ("pt validation 0", "en validation 0"),
        ("pt validation 1", "en validation 1"),
    ]


def test_a_tfds_set_can_be_turned_round(mock_data):
    pairs = pairs_of(datasets.load(PORTUGUESE, "test", source="en", target="pt"))
    assert pairs[0] == ("en test 0", "pt test 0")


@pytest.mark.parametrize(("source", "target"), [("de", "en"), ("pt", ""), ("", "pt"), ("pt", "pt")])
def test_languages_that_a_tfds_set_lacks_are_refused(source, target):
    with pytest.raises(ValueError, match=f"two of pt, en. Received: source='{source}', target='{target}'"):
        datasets.load(PORTUGUESE, "train", source=source, target=target)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tfds:no_such_set", "no data set has this name"),
        ("tfds:wmt14_translate/en-de", "configs of wmt14_translate: cs-en, de-en, fr-en, hi-en, ru-en"),
        ("tfds:mnist/large", "configs of mnist: none"),
        ("tfds:", "no data set has this name"),
    ],
)
def test_a_set_that_tfds_does_not_know_is_refused_in_one_line(name, reason):
    with pytest.raises(ValueError, match="must know the set") as error:
        datasets.load(name, "train")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_a_tfds_set_without_translations_is_refused():
    with pytest.raises(ValueError, match="pairs in two languages. Received: mnist, which holds image, label"):
        datasets.load("tfds:mnist", "train")


def test_a_failed_download_is_one_line_with_its_reason(monkeypatch):
    def fail(self, **kwargs):
        raise ConnectionError("host not found\nlong story")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(ValueError, match=r"could not be prepared \(ConnectionError: host not found\)"):
        datasets.load(PORTUGUESE, "train")


class CountingTranslate(tfds.core.GeneratorBasedBuilder):
    """A set that tfds really prepares and reads."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = epath.Path(__file__)

    def _info(self):
        features = tfds.features.Translation(languages=("de", "en"))
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield from enumerate({"de": de, "en": en} for de, en in COUNTING)


COUNTING = [("eins", "one"), ("zwei", "two"), ("drei", "three")]


def test_a_set_is_prepared_once_and_read_again(tmp_path):
    load = partial(
        datasets.load, "tfds:counting_translate", "train", source="en", target="de", data_dir=str(tmp_path)
    )
    pairs = pairs_of(load())
    assert sorted(pairs) == sorted((en, de) for de, en in COUNTING)
    assert pairs_of(load()) == pairs


def test_a_split_that_the_set_lacks_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"validation.*train") as error:
        datasets.load(
            "tfds:counting_translate", "validation", source="de", target="en", data_dir=str(tmp_path)
        )
    assert "\n" not in str(error.value)


def test_a_set_without_a_direction_of_its_own_asks_for_one(tmp_path):
    with pytest.raises(ValueError, match="must be two of de, en. Received: source='', target=''"):
        datasets.load("tfds:counting_translate", "train", data_dir=str(tmp_path))
