"""T5's tokenizer: sentinels anywhere in a text, files."""

import keras
import pytest
import tensorflow as tf

from keras_transformer import tokenizers
from tests import t5_folder

# ids 4 to 10 behind the special ones
PIECES = ["▁a", "▁dog", "<extra_id_1>", "<extra_id_0>", "▁", "<extra row 9>", "s"]
PIECES = ["<pad>", "<unk>", "<s>", "</s>", *PIECES]


@pytest.fixture(scope="module")
def tokenizer():
    model = (t5_folder.FOLDER / "first" / "spiece.model").read_bytes()
    return tokenizers.T5Tokenizer(model, PIECES)


def ids(tokenizer, *texts):
    return tokenizer.tokenize(tf.constant(texts)).to_list()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a  dog ", [4, 5]),
        ("a cat", [4, 1]),
        ("<extra_id_0>", [7]),
        ("a <extra_id_0> dog", [4, 7, 5]),
        ("a<extra_id_0>dog<extra_id_1><extra_id_1>", [4, 7, 5, 6, 6]),
        ("<extra_id_2>", None),  # one that the vocabulary does not have
        ("<extra_id_0", None),
        ("</s>", None),
        ("<extra row 9>", None),
        (b"\xff a", None),
    ],
)
def test_sentinels_of_the_vocabulary_are_one_token_anywhere(tokenizer, text, expected):
    (found,) = ids(tokenizer, text)
    if expected is not None:
        assert found == expected
    else:  # nothing else in a text is a special token
        assert not {0, 2, 3, 6, 7, 9} & set(found)


def test_sentinels_stay_when_ids_become_text(tokenizer):
    rows = [[2, 7, 4, 1, 5, 10, 6, 3, 6], [0] * 9]
    texts = [text.decode() for text in tokenizer.detokenize(rows).numpy()]
    assert texts == ["<extra_id_0> a dogs<extra_id_1>", ""]


def test_a_saved_tokenizer_is_the_same_in_a_graph_and_survives_a_cleared_session(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    again = tokenizers.load(tmp_path)
    assert repr(again) == "T5Tokenizer(11 pieces)"
    graph = tf.function(again.tokenize, input_signature=[tf.TensorSpec([None], tf.string)])
    graph(tf.constant(["a"]))
    keras.utils.set_random_seed(1)
    keras.utils.clear_session()
    texts = ["<extra_id_1>a dog", "", "dogs<extra_id_0>"]
    assert ids(again, *texts) == ids(tokenizer, *texts) == graph(tf.constant(texts)).to_list()


def test_a_vocabulary_without_sentinels_has_none():
    model = (t5_folder.FOLDER / "first" / "spiece.model").read_bytes()
    plain = tokenizers.T5Tokenizer(model, PIECES[:6])
    assert ids(plain, "a dog") == [[4, 5]]
