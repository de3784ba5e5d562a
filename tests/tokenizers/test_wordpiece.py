"""WordPiece: what BERT's authors do with a text, piece by piece; files; what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import tokenizers

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "a",
    "cafe",
    "##s",
    "un",
    "##aff",
    "##able",
    "!",
    "[",
    "]",
    "sep",
]
PIECES += [
    "\N{GREEK SMALL LETTER SIGMA}",
    "##\N{GREEK SMALL LETTER SIGMA}",
    "\u4e2d",
    "\u6587",
    "Cafe",
    "caf\u00e9",
]


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizers.WordPieceTokenizer(PIECES)


def pieces(tokenizer, *texts):
    """The pieces of each text, joined by spaces."""
    ids = tokenizer.tokenize(tf.constant(texts))
    return [b" ".join(row).decode() for row in tokenizer.id_to_piece(ids).to_list()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" \t\n", ""),
        ("unaffable", "un ##aff ##able"),
        ("unaffablex", "[UNK]"),
        ("Caf\u00e9s!", "cafe ##s !"),
        ("cafe\u0301", "cafe"),
        ("a!a", "a ! a"),
        ("[SEP]", "[ sep ]"),  # never the special token
        ("\u4e2d\u6587a", "\u4e2d \u6587 a"),
        ("\u03a3\u03a3", "\u03c3 ##\u03c3"),  # by the rule for whole words the last would be another sigma
        ("a\u200da", "[UNK]"),  # a joiner goes, and leaves one word
        ("ca\x00fe\x7f", "cafe"),
        ("ca\ufffdfe", "cafe"),
        (b"ca\xfffe", "cafe"),
        ("a\u00a0a\u3000a\u2028a", "a a a a"),
        ("a" * 401, "[UNK]"),
    ],
)
def test_a_text_becomes_the_pieces_of_the_paper(tokenizer, text, expected):
    assert pieces(tokenizer, text) == [expected]


def test_case_and_accents_are_kept_as_told():
    cased = tokenizers.WordPieceTokenizer(PIECES, lowercase=False)
    assert pieces(cased, "Cafe caf\u00e9 CAFE") == ["Cafe caf\u00e9 [UNK]"]
    accents = tokenizers.WordPieceTokenizer(PIECES, strip_accents=False)
    assert pieces(accents, "CAF\u00c9 cafe") == ["caf\u00e9 cafe"]
    both = tokenizers.WordPieceTokenizer(PIECES, lowercase=False, strip_accents=True)
    assert pieces(both, "Caf\u00e9") == ["Cafe"]


def test_ids_become_a_text_without_what_stands_around_it(tokenizer):
    ids = [[2, 5, 6, 10, 3, 0], [2, 7, 8, 9, 3, 0]]
    assert [text.decode() for text in tokenizer.detokenize(ids).numpy()] == ["cafes !", "unaffable"]
    assert (tokenizer.start_id, tokenizer.end_id, tokenizer.unknown_id) == (2, 3, 1)
    with pytest.raises(ValueError, match="`ids` must be from 0 to 19. Received: 20"):
        tokenizer.id_to_piece([20])


def test_the_mask_is_one_of_the_pieces_or_there_is_none(tokenizer, tmp_path):
    assert tokenizer.mask_id is None
    named = tokenizers.WordPieceTokenizer([*PIECES, "<mask>"], mask="<mask>")
    named.save(tmp_path)
    assert named.mask_id == tokenizers.load(tmp_path).mask_id == 20
    assert tokenizers.WordPieceTokenizer([*PIECES, "[MASK]"]).mask_id == 20


def test_it_is_saved_and_loaded(tokenizer, tmp_path):
    other = tokenizers.WordPieceTokenizer(
        ["<pad>", "<s>", "<unk>", "</s>", "A"], False, True, "<pad>", "<unk>", "<s>", "</s>"
    )
    for number, each in enumerate((tokenizer, other)):
        each.save(tmp_path / str(number))
        loaded = tokenizers.load(tmp_path / str(number))
        assert repr(loaded) == repr(each) and loaded.start_id == each.start_id
        assert pieces(loaded, "Caf\u00e9s A!") == pieces(each, "Caf\u00e9s A!")


def test_it_runs_in_a_graph(tokenizer):
    ids = tf.function(lambda text: tokenizer.tokenize(text).to_tensor())(tf.constant(["a cafes", ""]))
    np.testing.assert_array_equal(ids, [[4, 5, 6], [0, 0, 0]])


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (PIECES[1:], r"must hold `pad`, '\[PAD\]'. Received: 19 pieces without"),
        ([*PIECES, "a"], "each once. Received: 'a' as number 20"),
        ([*PIECES, ""], "not empty, each once. Received: '' as number 20"),
        (["a", *PIECES[:4]], r"padding, '\[PAD\]', must be the first .* Received: as number 1"),
    ],
)
def test_a_vocabulary_that_cannot_be_one_is_refused(vocabulary, message):
    with pytest.raises(ValueError, match=message):
        tokenizers.WordPieceTokenizer(vocabulary)
