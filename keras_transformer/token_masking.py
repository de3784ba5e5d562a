"""Token masking for masked language models (Devlin et al. 2019, section 3.1 and appendix A.1)."""

import keras
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
) -> tuple[Tensor, Tensor]:
    """Hides some tokens: 80 % become the mask, 10 % a random token, 10 % stay as they are.

    Each token is drawn on its own, where the paper draws 15 % of each text: the share is the same on
    average. Special ids (0 to 3) are never hidden and never put in.

    Args:
        token_ids: integers, (B, T), padded with 0.
        vocabulary_size: V of the model. Its last id, V - 1, is the mask, which no text holds: V is one more
            than the tokenizer's size.
        rate: probability that a token is hidden, 0 < rate <= 1.
        seed: an integer, the same draw at each call; or a `keras.random.SeedGenerator`, another one at each.

    Returns:
        (ids, labels), both like `token_ids`. Labels are the tokens that were hidden, changed or not, and 0
        everywhere else.

    Raises:
        ValueError: `rate` or `vocabulary_size` is out of range.
    """
    if not arguments.is_number(rate) or not 0 < rate <= 1:
        raise ValueError(f"`rate` must lie in 0 < rate <= 1. Received: rate={rate!r}.")
    if not arguments.is_size(vocabulary_size, FIRST_ORDINARY_ID + 2):
        raise ValueError(
            f"`vocabulary_size` must leave an ordinary token besides ids 0 to {END_ID} and the mask. "
            f"Received: vocabulary_size={vocabulary_size}."
        )
    token_ids = ops.convert_to_tensor(token_ids)
    mask_id, dtype = vocabulary_size - 1, token_ids.dtype
    # Both at once: two calls with one number for a seed would draw the same.
    draws = keras.random.uniform((2, *ops.shape(token_ids)), seed=seed)
    draw, place = draws[0], draws[1]
    other = FIRST_ORDINARY_ID + ops.cast(ops.floor(place * (mask_id - FIRST_ORDINARY_ID)), dtype)
    is_hidden = ops.logical_and(draw < rate, token_ids >= FIRST_ORDINARY_ID)
    replaced = ops.where(draw < 0.8 * rate, mask_id, ops.where(draw < 0.9 * rate, other, token_ids))
    ids = ops.where(is_hidden, replaced, token_ids)
    return ops.cast(ids, dtype), ops.cast(ops.where(is_hidden, token_ids, PAD_ID), dtype)
