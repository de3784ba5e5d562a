"""Steps between texts and ids that functions of TensorFlow graphs share.

Legend: B texts, N hypotheses of a text, L longest in pieces.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_transformer import decoding, tokenizers
from keras_transformer.installation import needs
from keras_transformer.special_ids import END_ID, PAD_ID, UNKNOWN_ID
from keras_transformer.tokenizers import Tokenizer
from keras_transformer.types import Tensor

with needs("text"):
    import tensorflow as tf


def end_and_pad(tokens: Tensor, length: int) -> tf.Tensor:
    """Ragged ids (B, None) -> int32 (B, S), cut to `length` with the end token, padded."""
    tokens = tokens[:, : length - 1]
    return tf.concat([tokens, tf.fill([tokens.nrows(), 1], END_ID)], axis=1).to_tensor()


def ends(tokenizer: Tokenizer, before: Sequence[int] = ()) -> tuple[list[int], list[int]]:
    """The ids that stand before and behind each text that a model reads.

    BERT's tokenizer brings its own, [CLS] and [SEP]. With all others there is nothing behind a text.

    Args:
        tokenizer: of the texts.
        before: what stands before a text with the others.
    """
    if isinstance(tokenizer, tokenizers.WordPieceTokenizer):
        return [tokenizer.start_id], [tokenizer.end_id]
    return list(before), []


def enclosed(ids: Tensor, before: Sequence[int], behind: Sequence[int], max_length: int) -> tf.RaggedTensor:
    """Ragged ids (B, None) -> what a model reads, int32 (B, None), no more than `max_length` ids.

    Args:
        ids: of texts, which are cut where they end.
        before, behind: what stands around each; see `ends`.
        max_length: all of them together, at most.
    """
    ids = ids[:, : max_length - len(before) - len(behind)]
    first, last = ([tf.fill([ids.nrows(), 1], x) for x in side] for side in (before, behind))
    return tf.concat([*first, ids, *last], axis=1)


def pieces(tokenizer: Tokenizer, ids: Tensor) -> tf.Tensor:
    """Ids of any shape -> pieces, strings of that shape, empty at padding."""
    return tf.where(
        ids == PAD_ID, "", tf.reshape(tokenizer.id_to_piece(tf.reshape(ids, [-1])), tf.shape(ids))
    )


def shared_tokenizers(folders: Sequence[Path]) -> list[Any]:
    """The source's and the target's tokenizer of several run folders.

    Raises:
        ValueError: they are not the same in all.
    """
    sides = []
    for folder in folders:
        sides.append([tokenizers.load(folder / "tokenizer" / side) for side in ("source", "target")])
        if [vocabulary(side) for side in sides[-1]] != [vocabulary(side) for side in sides[0]]:
            raise ValueError(
                "The models of an ensemble must have the same tokenizers. "
                f"Received: {folder}, whose tokenizers are not those of {folders[0]}."
            )
    return sides[0]


def vocabulary(tokenizer: Tokenizer) -> list[bytes]:
    """All pieces of a tokenizer, in the order of their ids."""
    return tokenizer.id_to_piece(tf.range(tokenizer.vocabulary_size)).numpy().tolist()


def detokenized(tokenizer: Tokenizer, ids: Tensor) -> Tensor:
    """Ids (B, N, L) -> texts, strings (B, N)."""
    batch_size, num_results, _ = tf.unstack(tf.shape(ids))
    texts = tokenizer.detokenize(tf.reshape(ids, (batch_size * num_results, -1)))
    return tf.reshape(texts, (batch_size, num_results))


def ended_at_once(decoded: dict[str, Tensor], is_empty: Tensor) -> dict[str, Tensor]:
    """Results of which those of empty rows are the end, with the score 0 and no attention.

    Args:
        decoded: "ids" (B, N, L), "scores" (B, N), and others, (B, N, L, ...).
        is_empty: bool, (B,): of what nothing but an end was decoded.
    """
    ids, is_empty = decoded["ids"], is_empty[:, None]  # (B, 1)
    blank = tf.one_hot(0, tf.shape(ids)[2], on_value=END_ID, off_value=PAD_ID, dtype=tf.int32)
    ids = tf.where(is_empty[..., None], blank, ids)
    changed = {"ids": ids, "scores": tf.where(is_empty, 0.0, decoded["scores"])}
    for name in set(decoded) - set(changed):
        x = decoded[name]
        is_real = tf.reshape(ids != PAD_ID, tf.concat([tf.shape(ids), [1] * (x.shape.rank - 3)], axis=0))
        changed[name] = tf.where(is_real, x, tf.zeros_like(x))
    return changed


def distinct(
    decode: Callable[..., dict[str, Tensor]], search: Any, inputs: Tensor, is_exempt: Any = False
) -> dict[str, Tensor]:
    """Decodes, and joins results of a row that are the same text, say in two segmentations.

    The better ranked of equal texts stays. A row that so lacks results is searched again, with a beam twice
    as wide, and what is new there comes behind the others: the first result stays the first. Samples stay as
    they were drawn.

    Args:
        decode: (search, inputs) -> tensors "texts" (B, N), "scores" (B, N), best first, the score of one
            that is not there -inf; and others, (B, N, ...).
        search: a beam search of several results, or another, for which this is `decode`.
        inputs: {name: tensor, (B, ...)}.
        is_exempt: bool, broadcastable to (B,): rows whose results are equal by intent.

    Returns:
        As `decode`. What is not even found by the wider search has the score -inf.
    """
    found = decode(search, inputs)
    if not isinstance(search, decoding.BeamSearch) or search.n_best == 1:
        return found
    lacks = tf.reduce_any(_is_repeated(found), axis=1) & tf.logical_not(is_exempt)

    def filled_up():
        rows = tf.where(lacks)[:, 0]
        doubled = {"width": 2 * search.width, "n_best": 2 * search.n_best}
        wider = _InOneLoop(**dataclasses.asdict(search) | doubled)
        more = decode(wider, {name: tf.gather(x, rows) for name, x in inputs.items()})
        old = tf.range(tf.size(lacks))
        new = tf.size(lacks) + tf.cumsum(tf.cast(lacks, tf.int32)) - 1
        both = {name: tf.concat([tf.gather(x, rows), more[name]], axis=1) for name, x in found.items()}
        both = _first_of_each(both, search.n_best)
        places = tf.where(lacks, new, old)
        return {name: tf.gather(tf.concat([x, both[name]], axis=0), places) for name, x in found.items()}

    return tf.cond(tf.reduce_any(lacks), filled_up, lambda: found)


@dataclasses.dataclass(frozen=True)
class _InOneLoop(decoding.BeamSearch):
    """With room for all steps from the start: it seldom runs, and every graph waits for it to be traced."""

    @property
    def lengths(self):
        return [self.max_length]


def _is_repeated(found):
    """Bool, (B, N): whether a result is a text that was there before."""
    is_there = tf.math.is_finite(found["scores"])
    numbers = tf.range(tf.shape(is_there)[1])
    texts = found["texts"]
    is_equal = (texts[:, :, None] == texts[:, None, :]) & (numbers[:, None] > numbers)
    return tf.reduce_any(is_equal & is_there[:, None, :], axis=2) & is_there


def _first_of_each(found, count):
    """The first `count` results (B, N, ...) of different texts; what is missing is empty."""
    is_kept = tf.math.is_finite(found["scores"]) & ~_is_repeated(found)
    numbers = tf.range(tf.shape(is_kept)[1])
    # All keys differ, so that the order does not depend on how equal ones are sorted.
    keys, order = tf.math.top_k(tf.where(is_kept, tf.size(numbers) - numbers, -numbers), count)
    empty = {"texts": "", "scores": -float("inf")}
    chosen = {}
    for name, x in found.items():
        x = tf.gather(x, order, batch_dims=1)
        is_there = tf.reshape(keys > 0, tf.concat([tf.shape(keys), [1] * (x.shape.rank - 2)], axis=0))
        chosen[name] = tf.where(is_there, x, tf.constant(empty.get(name, 0), x.dtype))
    return chosen


def same_rows(**tensors: Any) -> list[Tensor]:
    """The tensors, (B, ...) each, in this order, if all have the same B: none is broadcast to the others.

    Raises:
        tf.errors.InvalidArgumentError: when it runs, with all numbers of rows.
    """
    counts = {name: tf.shape(tensor)[0] for name, tensor in tensors.items()}
    received = [part for name, count in counts.items() for part in (f"{name}:", count)]
    rule = f"{' and '.join(tensors)} must have the same number of rows. Received:"
    is_same = tf.reduce_all(tf.equal(list(counts.values()), next(iter(counts.values()))))
    with tf.control_dependencies([tf.debugging.Assert(is_same, [rule, *received])]):
        return [tf.identity(tensor) for tensor in tensors.values()]


def prefix_ids(
    tokenizer: Tokenizer, prefixes: Sequence[str | bytes], num_texts: int, max_length: int
) -> Tensor:
    """Ragged ids of what translations begin with, one for each text.

    Raises:
        ValueError: there is another number of them, one holds what the tokenizer does not know, or is too
            long.
    """
    if len(prefixes) != num_texts:
        raise ValueError(
            f"There must be one prefix for each text. Received: {num_texts} texts, {len(prefixes)} prefixes."
        )
    ids = tokenizer.tokenize(tf.constant(prefixes, tf.string))
    for prefix, row in zip(prefixes, ids, strict=True):
        if UNKNOWN_ID in row.numpy():
            raise ValueError(
                f"A prefix must consist of what the target tokenizer knows. Received: {prefix!r}."
            )
        if len(row) >= max_length:
            raise ValueError(
                f"A prefix must be shorter than `max_length`, {max_length} pieces. "
                f"Received: {len(row)} pieces, {prefix!r}."
            )
    return ids
