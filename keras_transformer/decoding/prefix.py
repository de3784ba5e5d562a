"""Prefill: what all rows of a batch begin with is read in one pass, not token by token.

Positions have one number for all rows, so the pass goes as far as the shortest beginning; what a longer one
has beyond it is forced step by step. It is read in pieces: the state's room grows in static sizes, and the
logits of a piece are in memory together. Legend as in search.py.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_transformer.decoding.vocabulary import log_normaliser
from keras_transformer.types import Tensor, Tree

# Most positions of a piece. Its logits are (R, PIECE, V).
PIECE = 64


class Prefix:
    """The common part of the rows' beginnings.

    Args:
        search: a `Search`.
        prefix: int32, (R, L), what each row is forced to begin with, padded.

    Attributes:
        length: number of tokens that every row is forced to begin with, none of which is an end.
        ids: int32, (R, L), these, and padding.
        last: int32, (R,), the last of them; the start token if there is none.
    """

    def __init__(self, search: Any, prefix: Tensor):
        self.prefix = prefix
        is_forced = ops.logical_and(prefix != search.pad_id, prefix != search.end_id)
        lengths = ops.sum(ops.cumprod(ops.cast(is_forced, "int32"), axis=1), axis=1)  # up to the first gap
        # One position is left, which a step decides; of no rows there is no shortest one.
        lengths = ops.concatenate([lengths, ops.full((1,), search.max_length - 1, "int32")], axis=0)
        self.length = ops.cast(ops.min(lengths), "int32")
        self.ids = ops.where(ops.arange(search.max_length) < self.length, prefix, search.pad_id)
        start = ops.full_like(prefix[:, :1], search.start_id)
        self.seen = ops.concatenate([start, prefix], axis=1)  # (R, 1 + L), what the model is given
        self.last = ops.take(self.seen, self.length, axis=1)

    def read(
        self,
        read: Callable[..., tuple[Tensor, Tree]],
        source: Tree,
        target: Tree,
        index: int | Tensor,
        room: int,
        new_room: int,
    ) -> tuple[Tensor, Tensor, Tree]:
        """Reads as far as there is room.

        Args:
            read: see `Search.__call__`.
            source, target: parts of the state.
            index: int32, scalar: the first position that has not been read.
            room: positions that were there before, static; `new_room`: that are there now.

        Returns:
            the next position, log-probabilities of the tokens that were read, float32 (R,), and the target's
            state.
        """
        size = min(PIECE, new_room - room)
        end = ops.minimum(self.length, new_room)

        def read_piece(index, gained, target):
            # The last piece may begin among what was read: it writes the same once more. Beyond the end it
            # writes what the steps that come write over, before any looks at it.
            first = ops.minimum(index, new_room - size)
            positions = first + ops.arange(size)
            tokens = ops.take(self.seen, positions, axis=1)  # (R, size)
            logits, state = read(tokens, {"source": source, "target": target}, first)
            logits = ops.reshape(logits, (-1, logits.shape[-1]))
            following = ops.reshape(ops.take(self.prefix, positions, axis=1), (-1, 1))
            log_probs = ops.take_along_axis(logits, following, axis=1) - log_normaliser(logits)
            is_new = ops.logical_and(positions >= index, positions < end)
            log_probs = ops.where(is_new, ops.reshape(log_probs, (-1, size)), 0.0)
            index = ops.minimum(first + size, end)
            return index, gained + ops.sum(log_probs, axis=1), state["target"]

        nothing = ops.zeros_like(self.last, dtype="float32")
        return ops.while_loop(lambda index, *_: index < end, read_piece, (index, nothing, target))
