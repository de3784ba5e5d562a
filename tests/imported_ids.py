"""Ids of a folder as those of the tokenizer that was made of it."""

import numpy as np


def own_ids(tokenizer, names, special):
    """{the folder's id: the tokenizer's}, by the names of the pieces.

    Args:
        names: the folder's pieces in the order of its ids.
        special: {name: the tokenizer's id}.
    """
    pieces = tokenizer.id_to_piece(np.arange(tokenizer.vocabulary_size)).numpy()
    own = {piece.decode(): number for number, piece in enumerate(pieces)} | special
    return {old: own[name] for old, name in enumerate(names)}


def padded(own, rows):
    """Rows of a folder's ids, lists, as int32 (B, T)."""
    length = max(map(len, rows))
    return np.array([[*(own[x] for x in row), *[0] * (length - len(row))] for row in rows], "int32")


def logits(own, values):
    """A folder's logits (B, T, V), and the numbers of the tokenizer's ids that they are of: (ids, logits)."""
    olds = sorted(own)
    return [own[old] for old in olds], np.asarray(values)[..., olds] / 1e5
