"""The tokenizer of a T5 folder: spiece.model, else tokenizer.json; and tokenizer_config.json."""

import numpy as np
import tensorflow as tf

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from keras_transformer.tokenizers import T5Tokenizer
from keras_transformer.tokenizers.sentencepiece import opened
from training.imports import unigram_model
from training.imports.source_folder import SourceFolder

MODEL, WHOLE = "spiece.model", "tokenizer.json"
# The first ids of the family.
PAD, END, UNKNOWN = SPECIAL = "<pad>", "</s>", "<unk>"
START = "<s>"
NUM_SENTINELS = 100


def read(source: SourceFolder) -> tuple[T5Tokenizer, np.ndarray]:
    """The tokenizer, with the special ids first, and its ids in the folder.

    Returns:
        The tokenizer, a piece for each row of the embedding; and the folder's id of each of its ids, int
        (V,). The start token, which a folder has not, is the padding once more.

    Raises:
        ValueError: there is no tokenizer of this family, it does not fit the embedding, or a special id is
            not what T5's are.
    """
    size = source.value("vocab_size", int)
    for name, expected in (("pad_token_id", 0), ("eos_token_id", 1), ("decoder_start_token_id", 0)):
        source.refuse_unless(name, expected)
    told = source.json("tokenizer_config.json") or {}
    file, model, pieces = _pieces(source, told)
    if tuple(pieces[: len(SPECIAL)]) != SPECIAL:
        raise ValueError(
            f"{file} must begin with the pieces {', '.join(SPECIAL)}. "
            f"Received: {', '.join(pieces[: len(SPECIAL)])!r:.80}."
        )
    if len(pieces) > size:
        raise ValueError(
            f"{file} must have at most as many pieces as the embedding has rows, {size}, sentinels included. "
            f"Received: {len(pieces)} pieces."
        )
    _check_added(told, pieces)
    # An embedding is often padded to a multiple. A text has no such piece: a space is not in any.
    pieces += [f"<extra row {number}>" for number in range(len(pieces), size)]
    first = {PAD_ID: 0, UNKNOWN_ID: 2, START_ID: 0, END_ID: 1}
    order = np.array([*(first[place] for place in range(len(first))), *range(len(SPECIAL), size)])
    own = [pieces[old] for old in order]
    own[START_ID] = START if START not in pieces else "<start>"
    try:
        return T5Tokenizer(model, own), order
    except ValueError as error:
        raise ValueError(f"{file} must hold T5's pieces. Received: {error}") from error


def _pieces(source, told):
    """(name of the file, SentencePiece's model, all pieces in the order of their ids, sentinels included)."""
    path = source.file(MODEL)
    if path is not None:
        model = path.read_bytes()
        try:
            tokenizer = opened(model)
        except ValueError as error:
            raise ValueError(f"{path} must be a model of SentencePiece. Received: {error}") from error
        pieces = tokenizer.id_to_string(tf.range(tokenizer.vocab_size())).numpy()
        return MODEL, model, [*(piece.decode("utf-8", "replace") for piece in pieces), *_sentinels(told)]
    whole = source.json(WHOLE)
    if whole is None:
        raise ValueError(
            f"A folder of this family holds {MODEL} or {WHOLE}. Received: {source.path}, with neither."
        )
    # This file has the sentinels.
    return WHOLE, *unigram_model.read(whole)


def _check_added(told, pieces):
    """Raises ValueError if tokenizer_config.json has a token that the pieces have not at this place."""
    added = told.get("added_tokens_decoder", {})
    for number, token in added.items() if isinstance(added, dict) else [("", added)]:
        content = token.get("content") if isinstance(token, dict) else token
        place = int(number) if number.isdecimal() else len(pieces)
        if pieces[place : place + 1] != [content]:
            raise ValueError(
                "added_tokens_decoder of tokenizer_config.json must have T5's pieces and sentinels alone. "
                f"Received: {content!r:.80} as number {number:.80}."
            )


def _sentinels(told):
    count = told.get("extra_ids", NUM_SENTINELS)
    if type(count) is not int or not 0 <= count <= 10_000:
        raise ValueError(
            f"extra_ids of tokenizer_config.json must be a number from 0 to 10000. Received: {count!r:.80}."
        )
    return [f"<extra_id_{number}>" for number in reversed(range(count))]
