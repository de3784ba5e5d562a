"""Decoding with a model: its state, its step and a search."""

from keras import ops

from keras_transformer import masks


def generate(model, inputs, search, prefix_ids=None):
    """Decodes with any model of the zoo.

    Args:
        model: a `models.AutoregressiveModel`, or an `Ensemble` of some.
        inputs: the model's inputs without the target, say {"source_ids": (B, S)}, or a captioner's
            {"image": (B, H, W, C)}. Of a model without a source {"prompt_ids": (B, P)}, which is what its
            results begin with.
        search: `Greedy`, `Sampling` or `BeamSearch`, say `Greedy(max_length=64)`.
        prefix_ids: int, (B, P), P < L: what each result begins with, padded; None for nothing.

    Returns:
        ids: int32, (B, L), without the start token; after the end token only padding.
        scores: float32, (B,), log-probabilities of the results.

    Raises:
        ValueError: the search needs more than the inputs hold, the prefix leaves no room, or there are a
            prompt and a prefix.
    """
    ids, scores, _ = _search(model, inputs, search, prefix_ids)
    return ids[:, 0], scores[:, 0]


def generate_n_best(model, inputs, search, prefix_ids=None):
    """Like `generate`, and returns all N results of each source.

    Args:
        model, inputs, search, prefix_ids: as for `generate`; N is `n_best` of a `BeamSearch`,
            `num_samples` of a `Sampling` and 1 for `Greedy`.

    Returns:
        ids (B, N, L) and scores (B, N): the best first, samples as drawn. Where there are fewer than N
        hypotheses the rest has only padding and the score -inf.
    """
    ids, scores, _ = _search(model, inputs, search, prefix_ids)
    return ids, scores


def generate_with_attention(model, inputs, search, prefix_ids=None, attention=None):
    """Like `generate_n_best`, and keeps the attention to the source of the same pass.

    Args:
        model, inputs, search, prefix_ids: as for `generate`.
        attention: state -> (R, ..., S), what is to be kept of each step; `model.attention`, all layers and
            heads, if None.

    Returns:
        ids (B, N, L) and scores (B, N) as from `generate_n_best`, and the attention weights
        (B, N, L, layers, heads, S), zeros after the end.
    """
    return _search(model, inputs, search, prefix_ids, attention or model.attention, keep_attention=True)


def hard_alignment(attention, layer=None, head=None):
    """The source position that each target position attends to most.

    Args:
        attention: (..., L, layers, heads, S), from `generate_with_attention`.
        layer, head: numbers, counted from 0, negative from the end; the mean over all if None.

    Returns:
        int32, (..., L). At padding it means nothing.
    """
    return ops.cast(ops.argmax(soft_alignment(attention, layer, head), axis=-1), "int32")


def soft_alignment(attention, layer=None, head=None):
    """Attention (..., layers, heads, S) of a layer and head, or their mean if None: (..., S)."""
    attention = ops.mean(attention, axis=-3) if layer is None else attention[..., layer, :, :]
    return ops.mean(attention, axis=-2) if head is None else attention[..., head, :]


def _search(model, inputs, search, prefix_ids=None, attention=None, keep_attention=False):
    inputs = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
    if "prompt_ids" in inputs and prefix_ids is not None:
        raise ValueError("A prompt is what a result begins with: `prefix_ids` must be None. Received: both.")
    prefix_ids = inputs.get("prompt_ids", prefix_ids)
    if prefix_ids is not None:
        prefix_ids = ops.convert_to_tensor(prefix_ids)
    source_ids = inputs.get("source_ids")
    return search(
        model.decode_step,
        model.initial_state(inputs, search.lengths[0]),
        ops.shape(next(iter(inputs.values())))[0],
        grow=model.grow,
        source_mask=None if source_ids is None else masks.padding_mask(source_ids),
        prefix_ids=prefix_ids,
        attention=attention or model.attention,
        keep_attention=keep_attention,
    )
