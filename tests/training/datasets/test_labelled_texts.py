"""Texts with labels: TSV files, folders, tfds sets, and what is wrong with them."""

import gzip

import pytest
import tensorflow_datasets as tfds

from training.datasets.labelled_texts import load


def files(**options):
    return load("labelled_text", "train", **options)


def test_texts_and_labels_come_from_files_and_folders_one_after_the_other(tmp_path):
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b"to be \task\r\nso it is\ttell\n"))
    for name, text in {
        "tell/1.txt": "one\ntwo\n",
        "ask/2.txt": "was\u2028ist das",
        "ask/.hidden": "x",
    }.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_text(text, encoding="utf-8")
    texts, labels = files(places=[str(tmp_path / "a.tsv.gz"), str(tmp_path / "folder")])
    assert texts == ["to be", "so it is", "was\u2028ist das", "one\ntwo"]
    assert labels == ["ask", "tell", "ask", "tell"]


def test_columns_are_named_and_others_left_out(tmp_path):
    (tmp_path / "a.tsv").write_text("7\task\tto be\n")
    found = files(places=[str(tmp_path / "a.tsv")], columns=["id", "label", "text"])
    assert found == (["to be"], ["ask"])


def test_what_was_not_configured_is_none_but_of_training():
    assert load("labelled_text", "validation") is None
    with pytest.raises(ValueError, match="`data.train` must name at least one TSV file or folder"):
        files()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one line. Received: .*, which is empty"),
        ("to be\n", "exactly one tab. Received: .*, line 1, with 0 tabs"),
        ("a\tb\nto be\task\t7\n", "line 2, with 2 tabs; cut -f1,2"),
        ("a\tb\n\tb\n", "a text and a label. Received: .*, line 2, without a text"),
        ("a\t \n", "line 1, without a label"),
    ],
)
def test_a_damaged_file_is_told_with_its_line(tmp_path, text, message):
    (tmp_path / "a.tsv").write_text(text)
    with pytest.raises(ValueError, match=message):
        files(places=[str(tmp_path / "a.tsv")])


def test_options_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="folder for each label.* Received: "):
        files(places=[str(tmp_path)])
    with pytest.raises(FileNotFoundError, match="must exist"):
        files(places=[str(tmp_path / "none")])
    with pytest.raises(ValueError, match="must hold text and label, once each"):
        files(places=["a"], columns=["text", "class"])
    with pytest.raises(ValueError, match="`data_dir` is no option of labelled_text"):
        files(places=["a"], data_dir="b")
    with pytest.raises(ValueError, match="must be labelled_text or tfds:NAME. Received: 'text'"):
        load("text", "train")
    with pytest.raises(ValueError, match="`columns` are of TSV files"):
        load("tfds:imdb_reviews", "train", columns=["label", "text"])


class TinyReviews(tfds.core.GeneratorBasedBuilder):
    """Four reviews to learn from, one to be tested on."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=["bad", "good"])}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("text", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(4), "test": self._generate_examples(1)}

    def _generate_examples(self, count):
        yield from ((n, {"text": f" review {n}", "label": n % 2}) for n in range(count))


def test_a_set_of_tfds_gives_its_splits(tmp_path):
    def from_tfds(split, *places):
        return load("tfds:tiny_reviews", split, data_dir=str(tmp_path), places=places)

    texts, labels = from_tfds("train")
    assert sorted(zip(texts, labels, strict=True)) == [
        (f"review {n}", ["bad", "good"][n % 2]) for n in range(4)
    ]
    assert from_tfds("validation") is None
    assert [len(from_tfds(*of)[0]) for of in (("validation", "train[:50%]"), ("test", "test", "train"))] == [
        2,
        5,
    ]
    with pytest.raises(ValueError, match="`data.test` must name splits of tiny_reviews: .*Received: tset"):
        from_tfds("test", "tset")


def test_a_set_of_tfds_must_be_known_and_hold_texts_with_classes():
    with pytest.raises(ValueError, match="texts with a class. Received: mnist, which holds image"):
        load("tfds:mnist", "train")
    with pytest.raises(ValueError, match="must know the set. Received: 'no_such_set'"):
        load("tfds:no_such_set", "train")
