"""Marian's tokenizer: pieces by another vocabulary, languages, files; what is refused."""

import keras
import pytest
import tensorflow as tf

from keras_transformer import tokenizers
from tests import marian_folder

# ids:      0        1        2      3       4     5       6         7          8    9     10    11
PIECES = ["<pad>", "<unk>", "<s>", "</s>", "▁a", "▁dog", "▁house", ">>fra<<", "7", "▁", "<end>", "s"]


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizers.MarianTokenizer((marian_folder.FOLDER / "shared" / "source.spm").read_bytes(), PIECES)


def ids(tokenizer, *texts):
    return tokenizer.tokenize(tf.constant(texts)).to_list()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a  dog ", [4, 5]),
        ("a cat", [4, 1]),
        ("7", [9, 8]),  # a piece that SentencePiece's model does not know
        (">>fra<< a dog", [7, 4, 5]),
        (">>fra<<a", [7, 4]),
        (">>xyz<< a", [1, 4]),  # a language that the vocabulary does not have
        (">>fra", None),
        ("a >>fra<<", None),
        ("</s>", None),
        ("<pad>", None),
        (b"\xff a", None),
    ],
)
def test_pieces_are_looked_up_and_a_language_stands_in_front(tokenizer, text, expected):
    (found,) = ids(tokenizer, text)
    if expected is not None:
        assert found == expected
    else:  # nothing in a text is a special token or a language
        assert not {0, 2, 3, 7} & set(found)


def test_special_ids_and_spaces_at_the_ends_go_when_ids_become_text(tokenizer):
    rows = [[2, 9, 4, 1, 5, 11, 3, 6, 6], [0, 0, 0, 0, 0, 0, 0, 0, 0], [7, 5, 9, 3, 0, 0, 0, 0, 0]]
    texts = [text.decode() for text in tokenizer.detokenize(rows).numpy()]
    assert texts == ["a dogs", "", ">>fra<< dog"]
    assert tokenizer.id_to_piece([[4, 0]]).numpy().tolist() == [["▁a".encode(), b"<pad>"]]
    with pytest.raises(ValueError, match="`ids` must be from 0 to 11. Received: 12"):
        tokenizer.detokenize([[12]])


def test_a_saved_tokenizer_is_the_same_and_survives_a_cleared_session(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    again = tokenizers.load(tmp_path)
    assert "12 pieces" in repr(again) and again.vocabulary_size == 12
    graph = tf.function(again.tokenize, input_signature=[tf.TensorSpec([None], tf.string)])
    graph(tf.constant(["a"]))
    keras.utils.set_random_seed(1)
    keras.utils.clear_session()
    texts = [">>fra<< a dog", "", "7 houses"]
    assert ids(again, *texts) == ids(tokenizer, *texts) == graph(tf.constant(texts)).to_list()


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (PIECES + ["s"], "each once. Received: 's' as number 12"),
        (PIECES + [7], "must hold texts, each once. Received: 7"),
        (PIECES[:4], "must have pieces behind padding, unknown, start and end. Received: 4 pieces"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(tmp_path, tokenizer, vocabulary, message):
    with pytest.raises(ValueError, match=message):
        tokenizers.MarianTokenizer(b"", vocabulary)
    with pytest.raises(ValueError, match="`model` must be the bytes of a SentencePiece model"):
        tokenizers.MarianTokenizer(b"none", PIECES)
