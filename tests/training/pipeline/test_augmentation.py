"""Noise, sampled sub-words and dropped tokens: what changes, what stays, and that it can be repeated."""

import itertools

import numpy as np
import pytest

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from keras_transformer.tokenizers import CharacterTokenizer, SentencePieceTokenizer
from tests.training.pipeline.small_pairs import BYTES, dataset_of
from training import pipeline
from training.pipeline.augmentation import noisy
from training.tasks.translation import AugmentationConfig

WORDS = [f"w{n}" for n in range(23)]
TEXT = " ".join(WORDS)
PAIRS = [
    (f"{who} {verb} {what}", f"{what} {verb} {who}")
    for who in ("Ein Mann", "Eine Frau", "Zwei Kinder", "A dog", "Nobody")
    for verb in ("läuft über", "sitzt neben", "jumps over", "sees")
    for what in ("die Straße", "einen Zaun", "the lake", "a long and winding road")
]
EVERYTHING = AugmentationConfig("both", 0.2, 0.1, 0.1, 2, 0.1, 0.1)


@pytest.fixture(scope="module")
def sub_words():
    return SentencePieceTokenizer.train([side for pair in PAIRS for side in pair], 320, lowercase=True)


def generator():
    return np.random.default_rng(7)


def buckets_of(tokenizer, config, seed=3):
    augmentation = pipeline.Augmentation.of(config, tokenizer, tokenizer)
    encoded = pipeline.encode(
        [dataset_of(PAIRS)], tokenizer, tokenizer, pipeline.Filters(64), keep_texts=True
    )
    return pipeline.BucketBatches(
        encoded,
        batch_tokens=300,
        bucket_boundaries=[10, 13, 16, 20, 24, 32, 64],
        shuffle=True,
        seed=seed,
        augmentation=augmentation,
    )


def arrays_of(batches):
    return [(i["source_ids"].tolist(), i["target_ids"].tolist(), labels.tolist()) for i, labels in batches]


# Noise on words


def test_nothing_is_the_default():
    assert pipeline.Augmentation.of(AugmentationConfig(), BYTES, BYTES) is None


def test_words_are_dropped_with_their_probability_and_keep_their_order():
    config, draws, kept = AugmentationConfig(word_dropout=0.3), generator(), []
    for _ in range(200):
        (segment,) = noisy(TEXT, config, draws)
        words = segment.split(" ")
        assert words == [word for word in WORDS if word in words]
        kept.append(len(words))
    assert np.mean(kept) / len(WORDS) == pytest.approx(0.7, abs=0.02)


def test_one_word_always_stays():
    config, draws = AugmentationConfig(word_dropout=0.99), generator()
    results = [noisy("a b", config, draws) for _ in range(100)]
    assert {segment for (segment,) in results} >= {"a", "b"}
    assert [] not in [segment.split() for (segment,) in results]


@pytest.mark.parametrize("distance", [1, 3])
def test_a_word_moves_so_many_places_and_no_more(distance):
    config, draws, moves = AugmentationConfig(word_distance=distance), generator(), set()
    for _ in range(200):
        (segment,) = noisy(TEXT, config, draws)
        words = segment.split(" ")
        assert sorted(words) == sorted(WORDS)
        moves |= {words.index(word) - place for place, word in enumerate(WORDS)}
    assert moves == set(range(-distance, distance + 1))


def test_unknown_words_part_the_text():
    config, draws, unknown = AugmentationConfig(word_unknown=0.2), generator(), 0
    for _ in range(200):
        segments = noisy(TEXT, config, draws)
        unknown += len(segments) - 1
        assert len("".join(segments).split()) == len(WORDS) - (len(segments) - 1)
        assert (
            " ".join("?".join(segments).split("?")) != "" and "?".join(segments).count(" ") == len(WORDS) - 1
        )
    assert unknown / 200 / len(WORDS) == pytest.approx(0.2, abs=0.02)


def test_a_text_without_words_stays():
    assert noisy(" ", EVERYTHING, generator()) == [" "]


@pytest.mark.parametrize("kind", ["bytes", "sub_words"])
def test_an_unknown_word_is_one_unknown_id_between_the_ids_of_the_others(kind, sub_words, monkeypatch):
    tokenizer = BYTES if kind == "bytes" else sub_words
    augmentation = pipeline.Augmentation(AugmentationConfig(word_unknown=0.5), tokenizer, tokenizer)
    monkeypatch.setattr(
        "training.pipeline.augmentation.noisy", lambda text, *_: {"x": ["a ", " b c ", ""], "y": ["y"]}[text]
    )
    a, b, y = tokenizer.tokenize(["a ", " b c ", "y"]).to_list()
    assert augmentation._source_ids(["x", "y"], generator()) == [[*a, UNKNOWN_ID, *b, UNKNOWN_ID], y]


# Dropped tokens


def test_tokens_of_the_inputs_become_unknown_and_nothing_else_changes():
    shares = {"source_ids": 0.3, "target_ids": 0.1}
    config = AugmentationConfig(
        source_token_dropout=shares["source_ids"], target_token_dropout=shares["target_ids"]
    )
    unknown, real = dict.fromkeys(shares, 0), dict.fromkeys(shares, 0)
    for (inputs, labels), (plain, plain_labels) in zip(
        buckets_of(BYTES, config).batches_of_pass(0),
        buckets_of(BYTES, AugmentationConfig()).batches_of_pass(0),
        strict=True,
    ):
        np.testing.assert_array_equal(labels, plain_labels)
        for name in shares:
            changed = inputs[name] != plain[name]
            assert (inputs[name][changed] == UNKNOWN_ID).all()
            assert not np.isin(plain[name][changed], [PAD_ID, START_ID, END_ID]).any()
            unknown[name] += changed.sum()
            real[name] += (plain[name] > END_ID).sum()
    for name, share in shares.items():
        assert unknown[name] / real[name] == pytest.approx(share, abs=0.03)


# Sampled sub-words


@pytest.mark.parametrize("sides", ["source", "target", "both"])
def test_sampled_batches_hold_the_same_texts_in_the_same_shapes(sub_words, sides):
    buckets = buckets_of(sub_words, AugmentationConfig(sides, 0.3))
    shapes, texts, segmentations = set(), [], set()
    for number in range(2):
        for inputs, labels in buckets.batches_of_pass(number):
            shapes.add((*inputs["source_ids"].shape, *labels.shape))
            real = labels[:, 0] != PAD_ID
            source, target = inputs["source_ids"][real], labels[real]
            np.testing.assert_array_equal(inputs["target_ids"][real, 0], START_ID)
            followed = np.where(target == END_ID, PAD_ID, target)[:, :-1]
            np.testing.assert_array_equal(inputs["target_ids"][real, 1:], followed)
            texts += zip(
                *(sub_words.detokenize(side).numpy().tolist() for side in (source, target)), strict=True
            )
            segmentations |= {("source", tuple(np.trim_zeros(row))) for row in source.tolist()}
            segmentations |= {("target", tuple(np.trim_zeros(row))) for row in target.tolist()}
    assert len(shapes) == buckets.num_shapes
    pairs = [tuple(side.lower().encode() for side in pair) for pair in PAIRS]
    assert sorted(texts) == sorted(2 * pairs)
    for side in ("source", "target"):
        several = sum(name == side for name, _ in segmentations) > len(PAIRS)
        assert several == (sides in (side, "both"))


def test_a_sample_without_room_leaves_the_pair_as_it_is(sub_words):
    augmentation = pipeline.Augmentation(AugmentationConfig("both", 1.0), sub_words, sub_words)
    encoded = pipeline.encode(
        [dataset_of(PAIRS)], sub_words, sub_words, pipeline.Filters(64), keep_texts=True
    )
    rows = np.arange(len(PAIRS))
    longest = int(max(encoded.source.lengths.max(), encoded.target.lengths.max()))
    sources, targets = augmentation.ids(encoded, rows, longest, longest, generator())
    assert augmentation.num_drawn == 2 * len(PAIRS)
    assert 0 < augmentation.num_without_room
    kept = sum(
        list(ids) == encoded_side[row].tolist()
        for side, encoded_side in ((sources, encoded.source), (targets, encoded.target))
        for row, ids in enumerate(side)
    )
    assert kept >= augmentation.num_without_room
    assert max(map(len, sources + targets)) <= longest


def test_rows_keep_room_for_most_samples(sub_words):
    buckets = buckets_of(sub_words, AugmentationConfig("both", 0.1))
    for number in range(5):
        list(buckets.batches_of_pass(number))
    assert buckets.augmentation.num_drawn == 10 * len(PAIRS)
    assert buckets.augmentation.num_without_room < 0.05 * buckets.augmentation.num_drawn


# What can be repeated


def test_passes_differ_and_each_can_be_repeated_from_any_place(sub_words):
    buckets = buckets_of(sub_words, EVERYTHING)
    first, second = arrays_of(buckets.batches_of_pass(0)), arrays_of(buckets.batches_of_pass(1))
    assert first != second
    again = buckets_of(sub_words, EVERYTHING)
    assert arrays_of(again.batches_of_pass(1, start=2)) == second[2:]
    assert arrays_of(again.batches_of_pass(0)) == first
    assert arrays_of(buckets_of(sub_words, EVERYTHING, seed=4).batches_of_pass(0)) != first


def test_a_stream_of_changed_pairs_can_begin_anywhere(sub_words):
    buckets = buckets_of(sub_words, EVERYTHING)
    stream = [labels.numpy().tolist() for _, labels in itertools.islice(buckets.stream(), 2 * len(buckets))]
    start = len(buckets) + 1
    batches = itertools.islice(buckets_of(sub_words, EVERYTHING).stream(start), len(buckets) - 1)
    assert [labels.numpy().tolist() for _, labels in batches] == stream[start:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"word_dropout": 1.0}, "`word_dropout` must be at least 0 and below 1. Received: word_dropout=1.0"),
        ({"word_unknown": -0.1}, "word_unknown=-0.1"),
        ({"source_token_dropout": 1.5}, "source_token_dropout=1.5"),
        ({"target_token_dropout": float("nan")}, "target_token_dropout=nan"),
        ({"word_distance": -1}, "`word_distance` must be at least 0. Received: word_distance=-1"),
        (
            {"sampled_sides": "both"},
            r"Only sub-words \(bpe, unigram\) can be .*'both', and for the source Char",
        ),
        ({"sampled_sides": "target"}, r"for the target CharacterTokenizer\(code_points"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change, message):
    letters = CharacterTokenizer("code_points", "ab")
    with pytest.raises(ValueError, match=message):
        pipeline.Augmentation.of(AugmentationConfig(**change), BYTES, letters)
