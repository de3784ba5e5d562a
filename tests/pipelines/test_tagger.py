"""Texts to words with tags: which words there are, what is read of them, neighbours, lists of words."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import layers, models, pipelines, tokenizers
from keras_transformer.pipelines.tagger import Tagger, pieces, ragged
from keras_transformer.pipelines.text_classifier import TextClassifier

TAGS = ["B-ÄB", "I-ÄB", "O"]
MAX_LENGTH = 13
SENTENCES = [" so it is", " or not to be", " été"]
TOKENIZER = tokenizers.CharacterTokenizer.train(SENTENCES)
BYTES = tokenizers.CharacterTokenizer.train([], unit="bytes")
SUB_WORDS = tokenizers.SentencePieceTokenizer.train(SENTENCES * 3, 285)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What `training.train` leaves, as far as it is read here."""
    folder = tmp_path_factory.mktemp("runs")
    keras.utils.set_random_seed(3)
    encoder = layers.TextEncoder(TOKENIZER.vocabulary_size, 1, 6, 2, 5, max_length=MAX_LENGTH, num_segments=1)
    model = models.TokenClassifier(encoder, 1 + len(TAGS))
    model.build()
    # The tag depends on the text, and what has none would be likeliest.
    model.classifier.kernel.assign(20 * model.classifier.kernel)
    model.classifier.bias.assign([100.0, 0, 0, 0])
    model.save(folder / "model.keras")
    TOKENIZER.save(folder / "tokenizer" / "text")
    (folder / "pipeline.json").write_text(
        json.dumps({"kind": "tagger", "max_length": MAX_LENGTH, "classes": TAGS})
    )
    return folder


@pytest.fixture(scope="module")
def tagger(run):
    return Tagger.from_run(run)


def test_words_stand_between_white_space_and_have_a_tag_each(tagger):
    texts = ["so it\t is\n", "", "é\u00a0t \u2028 x"]
    found = tagger.tag(texts)
    assert [[one.word for one in words] for words in found] == [
        ["so", "it", "is"],
        [],
        ["é\u00a0t", "\u2028", "x"],
    ]
    for words in found:
        assert all(one.tag in TAGS and 1 / len(TAGS) <= one.probability <= 1 for one in words)
    assert len({one.tag for words in found for one in words}) > 1
    # Neighbours in the batch change nothing, and words may be given as such.
    for text, words in zip(texts, found, strict=True):
        again = tagger.tag(text)
        assert [one[:2] for one in again] == [one[:2] for one in words]
        np.testing.assert_allclose([one[2] for one in again], [one[2] for one in words], atol=1e-5)
    given = tagger.tag([["so", "it", "is"], []], batch_size=1)
    assert [one[:2] for one in given[0]] == [one[:2] for one in found[0]] and given[1] == []
    assert tagger.tag([]) == []


def test_tensors_are_padded_behind_the_words(tagger):
    found = tagger(tf.constant(["so", "", "it is"]))
    assert found["words"].numpy().tolist() == [[b"so", b""], [b"", b""], [b"it", b"is"]]
    is_word = found["words"].numpy() != b""
    np.testing.assert_array_equal(found["tags"].numpy() != b"", is_word)
    np.testing.assert_array_equal(found["probabilities"].numpy() > 0, is_word)
    for nothing in ([""], []):
        assert tagger(tf.constant(nothing, tf.string))["tags"].shape == (len(nothing), 0)


def test_a_long_text_is_read_in_parts_and_its_first_part_served(tagger):
    # Behind the start 4, 5 and 3 of 4 characters, with the spaces; the fourth word begins beyond.
    words = tagger.tag(["bee tots bit is so", "été"])[0]
    assert [one.word for one in words] == ["bee", "tots", "bit", "is", "so"]
    for one, part in zip(words, [*tagger.tag("bee tots bi"), *tagger.tag("is so")], strict=True):
        assert one.tag == part.tag and one.probability == pytest.approx(part.probability, abs=1e-5)
    found = tagger(tf.constant(["bee tots bit is so"]))
    assert found["words"].numpy().tolist() == [[b"bee", b"tots", b"bit"]]
    assert [tag.decode() for tag in found["tags"][0].numpy()] == [one.tag for one in words[:3]]


@pytest.mark.parametrize(
    ("tokenizer", "text"),
    [(TOKENIZER, "so itx"), (BYTES, "so é"), (SUB_WORDS, "so \u200b not ü")],
    ids=["code_points", "bytes", "bpe"],
)
def test_each_word_begins_where_its_first_piece_is(tokenizer, text):
    words = text.split(" ")
    ids, starts = pieces(ragged([words, ["is"]]), tokenizer, 50)
    assert ids[0, 0] == 2 and starts[1].numpy().tolist() == [1]
    ends = [*starts[0].numpy().tolist()[1:], ids[0].shape[0]]
    for word, start, end in zip(words, starts[0].numpy(), ends, strict=True):
        expected = tokenizer.tokenize([f" {word}"])[0].numpy().tolist() or [1]  # nothing left: unknown
        assert ids[0, start:end].numpy().tolist() == expected
    shorter, fewer = pieces(ragged([words]), tokenizer, 3)
    assert shorter[0].shape[0] == 3 and fewer[0].numpy().tolist() == [x for x in starts[0].numpy() if x < 3]


def test_a_run_of_another_kind_is_refused(run):
    with pytest.raises(ValueError, match="must be of a text classifier. Received: .*, of the kind tagger"):
        TextClassifier.from_run(run)
    assert type(pipelines.load(run)) is Tagger


def test_what_is_no_text_and_what_does_not_fit_is_refused(tagger):
    for texts, message in (
        ([3], "`words` must be a list of strings. Received: int"),
        (["a", ["b"]], "Received: list as number 1"),
        ([["a", 3]], "Received: int as number 1"),
    ):
        with pytest.raises(ValueError, match=message):
            tagger.tag(texts)
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer"):
        tagger.tag("so", batch_size=0)
    with pytest.raises(ValueError, match="each of the model's 3. Received: 2 names"):
        Tagger(tagger.model, TOKENIZER, TAGS[:2], MAX_LENGTH)
    with pytest.raises(ValueError, match="`max_length` must be at least 2. Received: max_length=1"):
        Tagger(tagger.model, TOKENIZER, TAGS, 1)
    bert = tokenizers.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"])
    with pytest.raises(ValueError, match="`max_length` must be at least 3. Received: max_length=2"):
        Tagger(tagger.model, bert, TAGS, 2)
    assert "Tagger(TokenClassifier, " in repr(tagger) and "3 classes; run_folder=" in repr(tagger)


def test_berts_tokenizer_says_what_stands_around_a_text_and_what_is_unknown():
    bert = tokenizers.WordPieceTokenizer(["[PAD]", "x", "[SEP]", "[UNK]", "[CLS]", "a", "##b"])
    words = ragged([["ab", "\u200b", "a"], [], ["a", "ab", "ab"]])
    ids, starts = pieces(words, bert, 6)
    assert ids.to_list() == [[4, 5, 6, 3, 5, 2], [4, 2], [4, 5, 5, 6, 5, 2]]
    assert starts.to_list() == [[1, 3, 4], [], [1, 2, 4]]
