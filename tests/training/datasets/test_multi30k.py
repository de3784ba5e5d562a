import gzip
import hashlib
import unittest
import urllib.error
import urllib.request
from functools import partial

import pytest
import tensorflow_datasets as tfds

from training import datasets
from training.datasets import multi30k

# Invented captions: none is from Multi30k. Sentence n means the same in each language.
CAPTIONS = {
    "de": ["Ein Otter radelt .", "Drei Köche tanzen .", "Ein Papierzug .", "Igel .", "Zwei .", "Ja ."],
    "en": ["An otter cycles .", "Three cooks dance .", "A paper train .", "Hedgehogs .", "Two .", "Yes ."],
    "fr": ["Une loutre à vélo .", "Trois cuisiniers .", "Un train .", "Hérissons .", "Deux .", "Oui ."],
}
SPLITS = {"train": slice(0, 3), "validation": slice(3, 5), "test": slice(5, 6)}
SIZES = {"train": 3, "validation": 2, "test": 1}


def expected_pairs(source, target, split):
    return list(zip(CAPTIONS[source], CAPTIONS[target], strict=True))[SPLITS[split]]


def write_captions(folder):
    """Writes the captions under the upstream names."""
    for split, stem in multi30k.FILE_STEMS.items():
        for language, sentences in CAPTIONS.items():
            text = "\n".join(sentences[SPLITS[split]]) + "\n"
            (folder / f"{stem}.{language}.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def pairs_of(dataset):
    return [tuple(side.decode() for side in pair) for pair in dataset.as_numpy_iterator()]


@pytest.fixture
def captions(tmp_path):
    return write_captions(tmp_path)


def test_the_builder_passes_the_checks_of_tfds(captions):
    """Features, splits, keys, and a checksum for each file it downloads."""
    pytest.importorskip("dill", reason="tfds.testing.DatasetBuilderTestCase imports dill")

    class Multi30kTest(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = multi30k.Multi30k
        EXAMPLE_DIR = captions
        SPLITS = SIZES
        BUILDER_CONFIG_NAMES_TO_TEST = ["de_en"]
        DL_DOWNLOAD_RESULT = {
            split: [f"{stem}.de.gz", f"{stem}.en.gz"] for split, stem in multi30k.FILE_STEMS.items()
        }
        SKIP_TF1_GRAPH_MODE = True

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Multi30kTest).run(result)
    assert result.testsRun >= 5
    assert result.wasSuccessful(), result.errors + result.failures


def test_checksums_name_every_file_of_every_config():
    urls = {
        f"{multi30k._URL}/{stem}.{language}.gz"
        for stem in multi30k.FILE_STEMS.values()
        for language in multi30k.LANGUAGES
    }
    assert set(multi30k.Multi30k.url_infos) == urls


def test_the_checksums_are_those_of_the_upstream_files(data_folder):
    folder = data_folder("multi30k")
    for url, info in multi30k.Multi30k.url_infos.items():
        content = (folder / url.rpartition("/")[2]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == info.checksum, url
        assert len(content) == info.size, url


def test_the_upstream_files_give_29000_pairs(data_folder):
    folder = str(data_folder("multi30k"))
    for split, size in (("train", 29_000), ("validation", 1_014), ("test", 1_000)):
        dataset = datasets.load("multi30k", split, data_dir=folder)
        assert dataset.cardinality() == size
        for sources, targets in dataset.batch(size).as_numpy_iterator():
            assert all(sources) and all(targets)
            assert len(sources) == len(targets) == size


@pytest.mark.parametrize("source", multi30k.LANGUAGES)
@pytest.mark.parametrize("target", multi30k.LANGUAGES)
def test_a_folder_gives_any_direction(captions, source, target):
    if source == target:
        with pytest.raises(ValueError, match=f"must differ. Received: '{source}' for both"):
            datasets.load("multi30k", "train", source=source, target=target, data_dir=str(captions))
        return
    for split in SIZES:
        pairs = pairs_of(
            datasets.load("multi30k", split, source=source, target=target, data_dir=str(captions))
        )
        assert pairs == expected_pairs(source, target, split)


def test_german_to_english_is_the_default(captions):
    pairs = pairs_of(datasets.load("multi30k", "test", data_dir=str(captions)))
    assert pairs == expected_pairs("de", "en", "test")


def test_plain_files_do_as_well(tmp_path):
    for language in ("fr", "en"):
        (tmp_path / f"val.{language}").write_text("\n".join(CAPTIONS[language]), encoding="utf-8")
    pairs = pairs_of(multi30k.load("validation", source_language="fr", data_dir=tmp_path))
    assert pairs == list(zip(CAPTIONS["fr"], CAPTIONS["en"], strict=True))


def test_the_prepared_set_equals_the_folder(captions, tmp_path, monkeypatch):
    for language in multi30k.LANGUAGES:  # long enough to see another order
        lines = "".join(f"{language} {i}\n" for i in range(101))
        (captions / f"train.{language}.gz").write_bytes(gzip.compress(lines.encode()))

    def download(self, urls):
        return {split: [captions / url.rpartition("/")[2] for url in pair] for split, pair in urls.items()}

    monkeypatch.setattr(tfds.download.DownloadManager, "download", download)
    monkeypatch.setattr(multi30k, "_check_reachable", lambda url: None)
    monkeypatch.setattr(multi30k, "Multi30k", partial(multi30k.Multi30k, data_dir=tmp_path / "prepared"))
    for split in SIZES:
        prepared = pairs_of(datasets.load("multi30k", split, source="fr", target="de"))
        assert prepared == pairs_of(
            datasets.load("multi30k", split, source="fr", target="de", data_dir=str(captions))
        )
        assert len(prepared) == (101 if split == "train" else SIZES[split])


def test_without_network_data_dir_is_asked_for_at_once(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    monkeypatch.setattr(multi30k, "Multi30k", partial(multi30k.Multi30k, data_dir=tmp_path))
    with pytest.raises(FileNotFoundError, match="must be in `data_dir`.*githubusercontent.*no network"):
        datasets.load("multi30k", "train")


def test_an_unknown_language_is_refused(captions):
    for languages in ({"source": "cs"}, {"target": "cs"}):
        with pytest.raises(ValueError, match="one of de, en, fr. Received: 'cs'"):
            datasets.load("multi30k", "train", data_dir=str(captions), **languages)


def test_a_missing_file_is_named(captions):
    (captions / "train.en.gz").unlink()
    with pytest.raises(FileNotFoundError, match="hold train.en.gz or train.en. Received: data_dir="):
        datasets.load("multi30k", "train", data_dir=str(captions))


def test_files_of_unequal_length_are_refused(captions):
    (captions / "val.de.gz").write_bytes(gzip.compress(b"Ja .\n"))
    with pytest.raises(ValueError, match="val.de.gz with 1 and .*val.en.gz with 2 lines"):
        datasets.load("multi30k", "validation", data_dir=str(captions))
