"""Texts with gaps to candidates: what is read around a gap, several gaps, batches, errors, run folders."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from keras_transformer import layers, models, tokenizers
from keras_transformer.pipelines.mask_filler import MaskFiller

WINDOW = 7
CHARACTERS = "abcdefgh"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What `training.train` leaves, as far as it is read here."""
    keras.utils.set_random_seed(3)
    folder = tmp_path_factory.mktemp("runs")
    tokenizer = tokenizers.CharacterTokenizer.train([CHARACTERS])
    sizes = {"num_layers": 1, "hidden_dim": 6, "num_heads": 2, "intermediate_dim": 7}
    encoder = layers.TextEncoder(tokenizer.vocabulary_size + 1, **sizes, max_length=WINDOW)
    model = models.MaskedLM(encoder)
    model.build()
    model.set_weights([3 * weight for weight in model.get_weights()])
    tokenizer.save(folder / "tokenizer" / "text")
    model.save(folder / "model.keras")
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"window": WINDOW}}))
    return folder


@pytest.fixture(scope="module")
def filler(run):
    return MaskFiller.from_run(run)


def by_hand(filler, ids, gap):
    """{character: probability} for position `gap` of a list of ids, from the model alone."""
    logits = np.array(filler.model({"token_ids": np.array([ids])}, training=False)[0, gap], np.float64)
    weights = np.exp(logits[4:-1])  # neither the four special ids nor the mask
    return dict(zip(sorted(CHARACTERS), weights / weights.sum(), strict=True))


@pytest.mark.parametrize(
    ("text", "read", "gap"),
    [
        ("ab[MASK]cd", "ab_cd", 2),
        ("[MASK]", "_", 0),
        ("[MASK]abcdefgh", "_abc", 0),
        ("abcdefgh[MASK]", "fgh_", 3),
        ("abcdefgh[MASK]hgfedcba", "fgh_hgf", 3),
        ("ab[MASK]c[MASK]", "ab_c_", 2),
        ("[MASK][MASK]b", "__b", 0),
    ],
)
def test_the_model_reads_the_window_around_the_first_gap_and_all_gaps_in_it(filler, text, read, gap):
    ids = [filler.mask_id if c == "_" else 4 + sorted(CHARACTERS).index(c) for c in read]
    candidates, probabilities = filler(tf.constant([text]), num_candidates=100)
    found = {c.decode(): p for c, p in zip(candidates.numpy()[0], probabilities.numpy()[0], strict=True)}
    expected = by_hand(filler, ids, gap)
    assert found == pytest.approx(expected, abs=1e-5)
    assert list(found) == sorted(expected, key=expected.get, reverse=True)


def test_one_text_belongs_into_a_batch_and_a_filler_says_what_it_is(filler, run):
    with pytest.raises(ValueError, match=r"`text` must be a batch of strings, \(B,\). Received: shape \(\)"):
        filler("ab[MASK]cd")
    text = repr(filler)
    assert text.startswith("MaskFiller(MaskedLM, ") and text.endswith(f"run_folder={str(run)!r})")
    assert f"12 pieces, window {WINDOW}" in text


def test_neighbours_in_the_batch_change_nothing(filler):
    texts = ["ab[MASK]cd", "[MASK]", "abcdefgh[MASK]hgfedcba", "a[MASK]b[MASK]"]
    candidates, probabilities = filler(tf.constant(texts), num_candidates=3)
    assert candidates.shape == probabilities.shape == (4, 3)
    for row, text in enumerate(texts):
        alone, alone_probabilities = filler(tf.constant([text]), num_candidates=3)
        np.testing.assert_array_equal(alone[0], candidates[row])
        np.testing.assert_allclose(alone_probabilities[0], probabilities[row], atol=1e-5)
    assert [len(part) for part in filler(tf.constant([], tf.string))] == [0, 0]


def test_it_says_what_is_wrong(filler, run, tmp_path):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Each text must hold \[MASK\]"):
        filler(tf.constant(["a[MASK]", "ab"]))
    other = tokenizers.CharacterTokenizer.train(["ab"])
    with pytest.raises(ValueError, match="one id fewer than the model, 12. Received: a tokenizer with 6"):
        MaskFiller(filler.model, other, WINDOW)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghi"]
    with pytest.raises(ValueError, match="must have a mask, .MASK.. Received: a vocabulary without"):
        MaskFiller(filler.model, tokenizers.WordPieceTokenizer(pieces), WINDOW)
    with pytest.raises(ValueError, match="must have the model's 13 ids. Received: a tokenizer with 12"):
        MaskFiller(filler.model, tokenizers.WordPieceTokenizer(pieces[:-1]), WINDOW)
    for part in ("config.yaml", "tokenizer/text"):
        folder = shutil.copytree(run, tmp_path / part.replace("/", "_"))
        found = folder / part
        shutil.rmtree(found) if found.is_dir() else found.unlink()
        with pytest.raises(ValueError, match=f"holds .* Received: {folder}, with(out {part}| neither)"):
            MaskFiller.from_run(folder)
