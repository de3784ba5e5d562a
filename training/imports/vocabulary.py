"""The tokenizer of a side whose vocabulary is a list of pieces, with the special ids first."""

import numpy as np
import tensorflow as tf

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from keras_transformer.tokenizers import PieceTokenizer, WordTokenizer
from keras_transformer.tokenizers.sentencepiece import opened
from keras_transformer.tokenizers.text import SPECIAL_PIECES
from training.imports.imported import UNREACHABLE
from training.imports.source_folder import SourceFolder


def read_model(source: SourceFolder, name: str) -> tuple[bytes, list[str]]:
    """SentencePiece's model in a file, and its pieces in the order of its ids.

    Raises:
        ValueError: it is not there, or no such model.
    """
    path = source.file(name)
    if path is None:
        raise ValueError(
            f"The folder must hold {name}, a model of SentencePiece. Received: {source.path}, without."
        )
    model = path.read_bytes()
    try:
        tokenizer = opened(model)
    except ValueError as error:
        raise ValueError(f"{path} must be a model of SentencePiece. Received: {error}") from error
    pieces = tokenizer.id_to_string(tf.range(tokenizer.vocab_size())).numpy()
    return model, [piece.decode("utf-8", "replace") for piece in pieces]


def make(
    name: str, pieces: list[str], special: dict[int, int | None], model: bytes | None, adds_start: bool
) -> tuple[PieceTokenizer | WordTokenizer, np.ndarray]:
    """A tokenizer of our ids, and the folder's id of each of them.

    Args:
        name: of the vocabulary, for errors.
        pieces: in the order of the folder's ids.
        special: {special id: the folder's id}; None for padding or unknown where the folder has none: their
            row is another's.
        model: SentencePiece's, which cuts the texts; None for texts of words.
        adds_start: see `LookedUpTokenizer`.

    Returns:
        The tokenizer; and int (V,). See `unreachable`.

    Raises:
        ValueError: a piece is there twice, or there are none.
    """
    other = special[END_ID] if special[PAD_ID] is None else special[PAD_ID]
    first = [other if special[place] is None else special[place] for place in range(4)]
    order = np.array([*first, *sorted(set(range(len(pieces))) - set(first))])
    own = [pieces[old] for old in order]
    for place in unreachable(order):
        own[place] = SPECIAL_PIECES[place]
        while own.count(own[place]) > 1:
            own[place] = f"<{own[place]}>"
    try:
        if model is None:
            return WordTokenizer(own, adds_start), order
        return PieceTokenizer(model, own, adds_start), order
    except ValueError as error:
        raise ValueError(f"{name} must be a vocabulary. Received: {error}") from error


def unreachable(order: np.ndarray) -> list[int]:
    """The special ids whose row is another's, too: nobody may choose them."""
    claimed, found = set(), []
    for place in (END_ID, PAD_ID, UNKNOWN_ID, START_ID):
        if order[place] in claimed:
            found.append(place)
        claimed.add(order[place])
    return found


def ordered_bias(bias: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The logits' bias (V,) of the folder in our order, with what nobody may choose out of reach."""
    bias = bias[order]
    bias[unreachable(order)] = UNREACHABLE
    return bias
