"""Presets with weights: what ships, and what is refused."""

import json
import re
import shlex
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from keras_transformer import pipelines
from keras_transformer.pipelines import presets
from keras_transformer.pipelines.image_classifier import ImageClassifier
from keras_transformer.pipelines.text_generator import TextGenerator
from keras_transformer.pipelines.translator import Translator
from tests.source_code import ROOT
from training import translate

MEGABYTES = 40
NAMES = list(json.loads((presets.CLONE / presets.INDEX).read_text(encoding="utf-8")))


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The package with one preset, to be changed."""
    shutil.copytree(presets.CLONE / "numbers", tmp_path / "numbers")
    entry = json.loads((presets.CLONE / presets.INDEX).read_text(encoding="utf-8"))["numbers"]
    (tmp_path / presets.INDEX).write_text(json.dumps({"numbers": entry}), encoding="utf-8")
    monkeypatch.setattr(presets, "CLONE", tmp_path)
    return tmp_path


def test_the_folders_are_those_of_the_index_and_small():
    folders = {path.name for path in presets.CLONE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(presets.names()) == set(NAMES)
    files = [path for path in presets.CLONE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MEGABYTES * 2**20


@pytest.mark.parametrize("name", NAMES)
def test_each_is_whole_in_half_precision_and_says_what_it_is(name, tmp_path):
    folder = presets.folder(name)
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    for part in (f"# {name}\n", "| data |", "| licence of the weights |", "| recipe | `", "| measured |"):
        assert part in card
    assert "**Limits.**" in card and "**Not for**" in card
    with zipfile.ZipFile(folder / "model.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
        assert b"mixed_" not in archive.read("config.json")
    dtypes = set()
    with h5py.File(tmp_path / "model.weights.h5") as weights:
        weights.visititems(lambda _, item: dtypes.add(str(getattr(item, "dtype", ""))))
    assert "float32" not in dtypes and "float16" in dtypes
    assert "/" not in "".join(re.findall(r"^ *- (.*\.tsv)$", (folder / "config.yaml").read_text(), re.M))
    assert f"`{name}`" in (ROOT / "docs/presets.md").read_text(encoding="utf-8")


def test_the_page_and_the_readme_do_what_they_say(capsys, monkeypatch):
    page, readme = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/presets.md", "README.md"))
    names = {}
    exec(re.search(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE).group(1), names)
    translator = names["translator"]
    assert capsys.readouterr().out == f"{presets.names()}\n"
    monkeypatch.chdir(ROOT)
    for command in re.findall(r"^\.venv/bin/keras-transformer translate (--run presets.*)$", readme, re.M):
        translate.main(shlex.split(command))
    assert capsys.readouterr().out == "2031-03-05\nWhere's my key?\n"
    asked = ["среда, 5 марта 2031 г.", "5 mars 2031", "2031년 3월 5일", "March 5, 2031"]
    assert translator.translate(asked) == ["2031-03-05"] * 4
    assert translator.model.weights[0].dtype == "float32"


def test_numbers_are_read_and_a_search_may_be_given():
    from keras_transformer.decoding import Greedy

    translator = Translator.from_preset("numbers", search=Greedy(max_length=8))
    assert translator.translate(["four hundred and twelve", "ninety-nine"]) == ["412", "99"]
    assert translator.search == Greedy(max_length=8)


def test_short_sentences_are_translated_in_both_directions():
    from keras_transformer.decoding import Greedy

    for name, given, expected in (
        ("tatoeba_de_en", ["Wie viel kostet das?"], ["How much is this?"]),
        ("tatoeba_en_de", ["How much is this?"], ["Wie viel kostet das?"]),
    ):
        translator = Translator.from_preset(name, search=Greedy(max_length=16))
        assert translator.translate(given) == expected


def test_a_garment_is_named():
    import tensorflow as tf

    picture = np.zeros((28, 28, 1), "uint8")
    picture[3:9, 8:20] = picture[9:26, 8:13] = picture[9:26, 15:20] = 200  # two legs
    classes, probabilities = ImageClassifier.from_preset("fashion_mnist")([tf.io.encode_png(picture)])
    assert classes[0] == b"pair of trousers" and probabilities[0] > 0.5


def test_plays_are_likelier_than_the_same_words_backwards():
    from keras_transformer import losses

    generator = TextGenerator.from_preset("shakespeare")
    text = "KING RICHARD III:\nWhat is the matter, my good lord?\n"
    found = []
    for each in (text, text[::-1]):
        ids = generator.tokenizer.tokenize([each]).to_tensor()
        logits = generator.model({"target_ids": ids[:, :-1]})
        found.append(float(np.mean(losses.smoothed_cross_entropy(ids[:, 1:], logits))))
    assert found[0] < 1.6 < 3 < found[1]


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="tokenizer/text"):
        TextGenerator.from_preset("numbers")


def test_what_is_not_there_is_told_with_the_nearest():
    with pytest.raises(ValueError, match=r"Nearest: numbers; all: dates, .*Received: 'number'"):
        presets.folder("number")
    with pytest.raises(ValueError, match="Nearest: none; all: .*Received: '../../etc'"):
        presets.folder("../../etc")


@pytest.mark.parametrize("file", ["model.keras", "pipeline.json", "tokenizer/source/sentencepiece.model"])
def test_a_file_that_was_changed_is_refused(copy, file):
    assert presets.folder("numbers") == copy / "numbers"
    path = copy / "numbers" / file
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(
        ValueError, match=f"must have the SHA-256 .*, or it was changed. Received: .*{file}, with"
    ):
        pipelines.from_preset("numbers")


def test_a_file_too_many_or_too_few_is_refused(copy):
    (copy / "numbers/more").touch()
    with pytest.raises(ValueError, match="missing or more: more"):
        presets.folder("numbers")
    (copy / "numbers/more").rename(copy / "numbers/model.keras")
    (copy / "numbers/model.keras").unlink()
    with pytest.raises(ValueError, match="missing or more: model.keras"):
        presets.folder("numbers")


def test_the_package_is_found_where_it_is_installed(copy, monkeypatch):
    (copy / presets.PACKAGE).mkdir()
    (copy / presets.PACKAGE / "__init__.py").touch()
    shutil.move(copy / "numbers", copy / presets.PACKAGE)
    shutil.move(copy / presets.INDEX, copy / presets.PACKAGE)
    monkeypatch.setattr(presets, "CLONE", copy / "none")
    with pytest.raises(
        ModuleNotFoundError, match=r"pip install ./presets`. Received: no keras_transformer_presets"
    ):
        presets.names()
    monkeypatch.syspath_prepend(copy)
    assert presets.names().keys() == {"numbers"}
    assert presets.folder("numbers") == copy / presets.PACKAGE / "numbers"
