"""Token masking for masked language models (Devlin et al. 2019, section 3.1 and appendix A.1)."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_transformer import arguments
from keras_transformer.special_ids import END_ID, PAD_ID
from keras_transformer.types import Tensor

FIRST_ORDINARY_ID = END_ID + 1


def masked_tokens(
    token_ids: Tensor,
    vocabulary_size: int,
    rate: float = 0.15,
    seed: int | keras.random.SeedGenerator | None = None,
    mask_id: int | None = None,
    special_ids: Sequence[int] = range(FIRST_ORDINARY_ID),
) -> tuple[Tensor, Tensor]:
    """Hides some tokens: 80 % become the mask, 10 % a random token, 10 % stay as they are.

    Each token is drawn on its own, where the paper draws 15 % of each text: the share is the same on
    average. Special ids are never hidden and never put in.

    Args:
        token_ids: integers, (B, T), padded with 0.
        vocabulary_size: V of the model.
        rate: probability that a token is hidden, 0 < rate <= 1.
        seed: an integer, the same draw at each call; or a `keras.random.SeedGenerator`, another one at each.
        mask_id: of the mask, which no text holds; the last id, V - 1, if None: V is then one more than the
            tokenizer's size.
        special_ids: what is no token of a text, 0 to 3 here; of BERT's vocabularies [PAD], [UNK], [CLS] and
            [SEP].

    Returns:
        (ids, labels), both like `token_ids`. Labels are the tokens that were hidden, changed or not, and 0
        everywhere else.

    Raises:
        ValueError: `rate` or `vocabulary_size` is out of range.
    """
    if not arguments.is_number(rate) or not 0 < rate <= 1:
        raise ValueError(f"`rate` must lie in 0 < rate <= 1. Received: rate={rate!r}.")
    mask_id = vocabulary_size - 1 if mask_id is None else mask_id
    ordinary_ids = np.setdiff1d(np.arange(vocabulary_size), [*special_ids, mask_id])
    if len(ordinary_ids) < 1 or not 0 <= mask_id < vocabulary_size:
        raise ValueError(
            "`vocabulary_size` must leave the mask and an ordinary token besides the special ids. "
            f"Received: vocabulary_size={vocabulary_size}, mask_id={mask_id}."
        )
    token_ids = ops.convert_to_tensor(token_ids)
    dtype = token_ids.dtype
    is_ordinary = np.zeros(vocabulary_size, "bool")
    is_ordinary[ordinary_ids] = True
    # Both at once: two calls with one number for a seed would draw the same.
    draws = keras.random.uniform((2, *ops.shape(token_ids)), seed=seed)
    draw, place = draws[0], draws[1]
    other = ops.take(ordinary_ids, ops.cast(ops.floor(place * len(ordinary_ids)), "int32"))
    is_hidden = ops.logical_and(draw < rate, ops.take(is_ordinary, token_ids))
    replaced = ops.where(
        draw < 0.8 * rate, mask_id, ops.where(draw < 0.9 * rate, ops.cast(other, dtype), token_ids)
    )
    ids = ops.where(is_hidden, replaced, token_ids)
    return ops.cast(ids, dtype), ops.cast(ops.where(is_hidden, token_ids, PAD_ID), dtype)
