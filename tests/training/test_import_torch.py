"""Folders of PyTorch's nn.Transformer become translators: its own answers, other files; what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import decoding
from keras_transformer.pipelines.translator import Translator
from keras_transformer.tokenizers.sentencepiece import opened
from tests import imported_ids, torch_folder
from training.imports import torch_transformer
from training.imports.source_folder import SourceFolder

NUM_STEPS = 12  # as in fixtures/make_torch.py

pytestmark = pytest.mark.usefixtures("eager")


def read(folder):
    return torch_transformer.read(SourceFolder(folder))


def names(name, side):
    """The pieces of a side in the order of the folder's ids."""
    folder = torch_folder.FOLDER / name
    if name == "words":
        return (folder / f"{side}.vocab").read_text(encoding="utf-8").split("\n")[:-1]
    model = opened((folder / "both.model").read_bytes())
    return [piece.decode() for piece in model.id_to_string(tf.range(model.vocab_size())).numpy()]


@pytest.mark.parametrize("name", ["words", "pieces"])
def test_ids_logits_and_texts_are_the_originals(name):
    answers = torch_folder.read("answers.json", name)
    imported = read(torch_folder.FOLDER / name)
    tokenizers = imported.tokenizers
    search = decoding.Greedy(NUM_STEPS)
    found = Translator(imported.model, tokenizers["source"], tokenizers["target"], search, 32)
    special = {"<pad>": 0, "<unk>": 1, **({"<bos>": 2, "<eos>": 3} if name == "words" else {"</s>": 3})}
    own = {
        side: imported_ids.own_ids(tokenizers[side], names(name, side), special)
        for side in ("source", "target")
    }
    source_ids = found.source_ids(tf.constant(answers["source_texts"])).numpy()
    np.testing.assert_array_equal(source_ids, imported_ids.padded(own["source"], answers["source_ids"]))

    target_ids = imported_ids.padded(own["target"], answers["prefixes"])
    target_ids[:, 0] = 2
    ids, expected = imported_ids.logits(own["target"], answers["logits"])
    logits = np.array(found.model({"source_ids": source_ids, "target_ids": target_ids}))
    np.testing.assert_allclose(logits[..., ids], expected, atol=5e-5)
    if name == "pieces":  # what begins is the end once more, and out of reach
        assert not np.array(tf.nn.softmax(logits))[..., 2].any()
    short = slice(3, 4)
    assert found.translate(answers["source_texts"][short]) == answers["greedy"]["texts"][short]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["words", "pieces"])
def test_greedy_texts_are_the_originals(name, compiled):
    answers, imported = torch_folder.read("answers.json", name), read(torch_folder.FOLDER / name)
    tokenizers = imported.tokenizers
    search = decoding.Greedy(NUM_STEPS)
    found = Translator(imported.model, tokenizers["source"], tokenizers["target"], search, 32)
    assert found.translate(answers["source_texts"]) == answers["greedy"]["texts"]
