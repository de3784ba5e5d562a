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


def test_a_graph_holds_no_pieces_and_equal_vocabularies_are_one_tensor(tmp_path):
    vocabulary = [*SPECIAL, *(f"word{number}" for number in range(200))]
    made = [tokenizers.WordTokenizer(vocabulary), tokenizers.PieceTokenizer(MODEL, vocabulary)]

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
    def graph(ids):
        return [(x.id_to_piece(ids), x.detokenize(ids), x.tokenize(x.id_to_piece(ids)[0])) for x in made]

    found = graph(tf.constant([[7, 150]]))
    assert [x[1].numpy().tolist() for x in found] == [[b"word3 word146"], [b"word3word146"]]
    assert found[0][2].to_list() == [[7], [150]]
    concrete = graph.get_concrete_function()
    large = [x for x in concrete.captured_inputs if x.dtype == tf.string]
    assert [x.shape.as_list() for x in large] == [[204]]
    constants = [node for node in concrete.graph.as_graph_def().node if node.op == "Const"]
    assert max(tf.make_ndarray(node.attr["value"].tensor).size for node in constants) < 204


def test_equal_sentencepiece_models_are_one_resource():
    first, second = (tokenizers.PieceTokenizer(MODEL, [*SPECIAL, "dog"]) for _ in range(2))
    assert first._tokenizer._model_resource is second._tokenizer._model_resource
