"""Sampled sub-words: the pieces of the same vocabulary, the same text, the same draws everywhere."""

import collections
import itertools
import math
import random
import subprocess

import numpy as np
import pytest

from keras_transformer.tokenizers import SentencePieceTokenizer
from training.datasets.parallel_text import read_lines

SENTENCES = [
    f"{who} {verb} {what}"
    for who in ("Ein Mann", "Eine Frau", "Zwei Kinder", "A dog", "Мужчина", "男の人")
    for verb in ("läuft über", "sitzt neben", "jumps over", "видит", "が")
    for what in ("die Straße.", "einen Zaun.", "the lake!", "собаку", "走る。", "자전거")
]
# Case, spaces, what is normalised, characters that the models do not know, a word of spaces alone.
ODD = [
    "",
    " ",
    "EINE  Straße ﬁn ｡ ½",
    "\t a\u200b\u3000b \u2581 c\ufeff",
    "東京 😀 xyz",
    "</s> <unk>",
    "a\x01b",
]
# So large an exponent leaves the best segmentation alone.
NO_RANDOMNESS = {"bpe": 0.0, "unigram": 1e6}


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def tokenizer(kind):
    return SentencePieceTokenizer.train(SENTENCES, 317, model_type=kind, lowercase=True)


def test_without_randomness_the_ids_are_those_of_the_graph(kind, tokenizer):
    texts = SENTENCES + ODD
    sampled = tokenizer.sampler(NO_RANDOMNESS[kind]).sample(texts, seed=1)
    assert sampled == tokenizer.tokenize(texts).to_list()


def test_symbols_are_one_piece_wherever_they_stand_and_however_it_is_drawn(kind):
    symbols = ["<BT>", "<+>"]
    made = SentencePieceTokenizer.train(SENTENCES, 319, model_type=kind, lowercase=True, symbols=symbols)
    texts = ["<BT> Ein Mann", "x<BT>y <bt> <+>", "Zwei <BT>", *SENTENCES, *ODD]
    ids = made.tokenize(texts).to_list()
    assert made.sampler(NO_RANDOMNESS[kind]).sample(texts, seed=1) == ids
    pieces = [[piece.decode() for piece in row] for row in made.id_to_piece(made.tokenize(texts)).to_list()]
    assert pieces[0][:2] == ["\u2581", "<BT>"] and pieces[1].count("<BT>") == pieces[1].count("<+>") == 1
    for row in made.sampler(0.9 if kind == "bpe" else 0.0).sample(["<BT> Ein Mann"] * 20, seed=2):
        assert row[:2] == ids[0][:2]
    assert made.detokenize([ids[0]]).numpy()[0].decode() == "<BT> ein mann"


@pytest.mark.parametrize("symbols", [["two words"], [""], [3], ["<BT>", "<BT>+"]])
def test_a_symbol_must_be_a_word(symbols):
    with pytest.raises(
        ValueError, match="`symbols` must be words, none of which begins another. Received: symbols="
    ):
        SentencePieceTokenizer.train(SENTENCES, 319, symbols=symbols)


def test_without_randomness_the_ids_of_multi30k_are_those_of_the_graph(kind, data_folder):
    folder = data_folder("multi30k")
    train, texts = (
        [line for language in ("de", "en") for line in read_lines(folder / f"{split}.{language}.gz")][:count]
        for split, count in (("train", 5000), ("val", None))
    )
    tokenizer = SentencePieceTokenizer.train(train, 2000, model_type=kind, lowercase=True)
    sampler = tokenizer.sampler(NO_RANDOMNESS[kind])
    sampled = sampler.sample(texts, seed=1)
    for ids, expected in zip(sampled, tokenizer.tokenize(texts).to_list(), strict=True):
        if kind == "unigram" and ids != expected:  # two segmentations are the best
            assert sum(map(sampler._scores.__getitem__, ids)) == pytest.approx(
                sum(map(sampler._scores.__getitem__, expected)), abs=1e-4
            )
        else:
            assert ids == expected


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_a_sample_reads_as_its_text_does(tokenizer, alpha):
    texts = SENTENCES + ODD
    sampled = tokenizer.sampler(alpha).sample(texts, seed=2)
    width = max(map(len, sampled))
    rows = np.array([ids + [0] * (width - len(ids)) for ids in sampled])
    expected = tokenizer.detokenize(tokenizer.tokenize(texts))
    assert tokenizer.detokenize(rows).numpy().tolist() == expected.numpy().tolist()


def test_samples_differ_from_seed_to_seed_and_within_one(tokenizer):
    sampler = tokenizer.sampler(0.2)
    first, second = sampler.sample(SENTENCES, seed=1), sampler.sample(SENTENCES, seed=2)
    assert first != second
    assert len({tuple(ids) for ids in sampler.sample(SENTENCES[:1] * 50, seed=1)}) > 5


def test_the_same_seed_gives_the_same_draws_in_another_process(tokenizer, tmp_path, warm_python):
    tokenizer.save(tmp_path)
    code = (
        "import sys; from keras_transformer.tokenizers.sampling import SubwordSampler\n"
        "model = open(sys.argv[1], 'rb').read()\n"
        "print(SubwordSampler(model, 0.2).sample(sys.argv[2:], seed=5))"
    )
    # Python hashes strings by a seed of its own there.
    command = [warm_python, "-c", code, tmp_path / "sentencepiece.model", *SENTENCES[:30]]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sampler = tokenizer.sampler(0.2)
    sampler.sample(SENTENCES, seed=4)  # what was drawn before does not matter
    assert printed.strip() == str(sampler.sample(SENTENCES[:30], seed=5))


def test_dropout_of_merges_written_out():
    """Pieces ab, bc and abc; each merge is left out in half of the steps in which it is possible."""
    sampler = SentencePieceTokenizer.train(SENTENCES, 331).sampler(0.5)
    sampler._merges = {"ab": 1, "bc": 2, "abc": 3}
    sampler._ids = {"a": 4, "b": 5, "c": 6, "ab": 7, "bc": 8, "abc": 9}
    draws = random.Random(1)
    counts = collections.Counter(tuple(sampler._merged("abc", draws)) for _ in range(8000))
    expected = {(9,): 3 / 8, (7, 6): 1 / 4, (4, 8): 1 / 8, (4, 5, 6): 1 / 4}
    assert counts.keys() == expected.keys()
    for ids, share in expected.items():
        assert counts[ids] / 8000 == pytest.approx(share, abs=0.02)


def test_of_equal_merges_the_leftmost_is_applied():
    sampler = SentencePieceTokenizer.train(SENTENCES, 331).sampler(0.0)
    sampler._merges, sampler._ids = {"aa": 1}, {"a": 4, "aa": 7}
    assert sampler._merged("aaa", random.Random(1)) == [7, 4]


def test_all_merges_left_out_are_characters():
    tokenizer = SentencePieceTokenizer.train(SENTENCES, 331)
    (ids,) = tokenizer.sampler(1.0).sample(["Ein Zaun"], seed=1)
    assert b"".join(tokenizer.id_to_piece(ids).numpy()).decode() == "▁Ein▁Zaun"
    assert len(ids) == len("▁Ein▁Zaun")


def test_a_segmentation_has_its_probability_to_the_power_of_alpha():
    tokenizer = SentencePieceTokenizer.train(SENTENCES, 331, model_type="unigram")
    sampler, alpha = tokenizer.sampler(0.3), 0.3
    word = "▁Eine"
    weights = {}
    for cuts in itertools.product([False, True], repeat=len(word) - 1):
        pieces = [""]
        for character, cut in zip(word, (False, *cuts), strict=True):
            pieces = [*pieces, character] if cut else [*pieces[:-1], pieces[-1] + character]
        ids = [sampler._ids.get(piece) for piece in pieces]
        if None not in ids:
            weights[tuple(ids)] = math.exp(alpha * sum(sampler._scores[id_] for id_ in ids))
    assert 4 < len(weights) < 64
    counts = collections.Counter(map(tuple, sampler.sample(["Eine"] * 8000, seed=3)))
    for ids, weight in weights.items():
        assert counts[ids] / 8000 == pytest.approx(weight / sum(weights.values()), abs=0.02)


@pytest.mark.parametrize(
    ("model_type", "alpha", "message"),
    [
        ("bpe", -0.1, "`alpha` must be between 0 and 1 for BPE. Received: alpha=-0.1"),
        ("bpe", 1.1, "`alpha` must be between 0 and 1 for BPE. Received: alpha=1.1"),
        ("unigram", -0.1, "`alpha` must be at least 0. Received: alpha=-0.1"),
        ("unigram", math.nan, "`alpha` must be at least 0. Received: alpha=nan"),
    ],
)
def test_a_strength_out_of_range_is_refused(model_type, alpha, message):
    tokenizer = SentencePieceTokenizer.train(SENTENCES, 331, model_type=model_type)
    with pytest.raises(ValueError, match=message):
        tokenizer.sampler(alpha)
