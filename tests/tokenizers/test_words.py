"""Tokenizers that look up words, or SentencePiece's pieces, and may begin with the start token."""

import pytest
import tensorflow as tf

from keras_transformer import tokenizers
from tests import t5_folder

SPECIAL = ["<blank>", "<unk>", "<s>", "</s>"]
MODEL = (t5_folder.FOLDER / "first" / "spiece.model").read_bytes()


def ids(tokenizer, *texts):
    return tokenizer.tokenize(tf.constant(texts)).to_list()


def text(tokenizer, *rows):
    return [x.decode() for x in tokenizer.detokenize(tf.ragged.constant(rows)).numpy()]


def test_words_stand_between_white_space_and_the_unknown_keep_their_name():
    words = tokenizers.WordTokenizer([*SPECIAL, "the", "dog@@", "s"])
    texts = [" the  dog@@\ts ", "", "The </s> <unk> s", b"the\xff s"]
    assert ids(words, *texts) == [[4, 5, 6], [], [1, 1, 1, 6], [1, 6]]
    assert text(words, [2, 4, 1, 5, 6, 3, 4], [0, 0], [3]) == ["the <unk> dog@@ s", "", ""]
    assert "WordTokenizer(7 pieces)" in repr(words)


def test_pieces_have_the_ids_of_the_vocabulary():
    pieces = tokenizers.PieceTokenizer(MODEL, [*SPECIAL, "\N{LOWER ONE EIGHTH BLOCK}dog", "s"])
    assert ids(pieces, "dog unheard dog", "") == [[4, *[1] * (len(ids(pieces, "unheard")[0])), 4], []]
    assert text(pieces, [4, 5, 1, 4, 3, 5], []) == ["dogs dog", ""]


@pytest.mark.parametrize("kind", ["words", "pieces"])
def test_a_text_that_has_any_begins_with_the_start_where_that_is_said(tmp_path, kind):
    vocabulary = [*SPECIAL, "dog", "\N{LOWER ONE EIGHTH BLOCK}dog"]
    options = (vocabulary,) if kind == "words" else (MODEL, vocabulary)
    made = (tokenizers.WordTokenizer if kind == "words" else tokenizers.PieceTokenizer)(
        *options, adds_start=True
    )
    made.save(tmp_path)
    for tokenizer in (made, tokenizers.load(tmp_path)):
        dog = 4 if kind == "words" else 5
        assert ids(tokenizer, "dog dog", "", " ") == [[2, dog, dog], [], []]
        graph = tf.function(tokenizer.tokenize, input_signature=[tf.TensorSpec([None], tf.string)])
        assert graph(tf.constant(["", "dog"])).to_list() == [[], [2, dog]]
        assert text(tokenizer, [2, dog, dog]) == ["dog dog"]
    assert tokenizers.load(tmp_path).adds_start
