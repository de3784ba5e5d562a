"""Decoding with a model: its state, its step and a search.

The first call with a model, a search and a shape compiles a program, which is kept as long as the model is;
see `programs.call`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from keras import ops

from keras_transformer import masks
from keras_transformer.decoding import programs, tensors
from keras_transformer.decoding.draws import fresh_seed, row_streams, seed_word
from keras_transformer.decoding.history import History, history_of, recorded
from keras_transformer.decoding.search import Result, Search


def generate(
    model: Any,
    inputs: Mapping[str, Any],
    search: Search,
    prefix_ids: Any = None,
    seed: Any = None,
) -> tuple[Any, Any]:
    """Decodes with any model of the zoo.

    Args:
        model: a `models.AutoregressiveModel`, or an `Ensemble` of some.
        inputs: the model's inputs without the target, say {"source_ids": (B, S)}, or a captioner's
            {"image": (B, H, W, C)}. Of a model without a source {"prompt_ids": (B, P)}, which is what its
            results begin with.
        search: `Greedy`, `Sampling` or `BeamSearch`, say `Greedy(max_length=64)`.
        prefix_ids: int, (B, P), P < L: what each result begins with, padded; None for nothing.
        seed: of a `Sampling`, in place of its own: an integer >= 0, or an int32 tensor, a scalar or (B,).
            With a seed for each row, equal rows of equal seeds have equal results, wherever in the batch.
            Another seed needs no new program.

    Returns:
        ids: int32, (B, L), without the start token; after the end token only padding.
        scores: float32, (B,), log-probabilities of the results.

    Raises:
        ValueError: the search needs more than the inputs hold, the prefix leaves no room, there are a
            prompt and a prefix, or inputs have different numbers of rows.
    """
    ids, scores, _ = _search(model, inputs, search, prefix_ids, seed)
    return ids[:, 0], scores[:, 0]


def generate_n_best(
    model: Any,
    inputs: Mapping[str, Any],
    search: Search,
    prefix_ids: Any = None,
    seed: Any = None,
) -> tuple[Any, Any]:
    """Like `generate`, and returns all N results of each source.

    Args:
        model, inputs, search, prefix_ids, seed: as for `generate`; N is `n_best` of a `BeamSearch`,
            `num_samples` of a `Sampling` and 1 for `Greedy`.

    Returns:
        ids (B, N, L) and scores (B, N): the best first, samples as drawn. Where there are fewer than N
        hypotheses the rest has only padding and the score -inf.
    """
    ids, scores, _ = _search(model, inputs, search, prefix_ids, seed)
    return ids, scores


def generate_with_attention(
    model: Any,
    inputs: Mapping[str, Any],
    search: Search,
    prefix_ids: Any = None,
    attention: Callable | None = None,
    seed: Any = None,
) -> Result:
    """Like `generate_n_best`, and keeps the attention to the source of the same pass.

    Args:
        model, inputs, search, prefix_ids, seed: as for `generate`.
        attention: state -> (R, ..., S), what is to be kept of each step; `model.attention`, all layers and
            heads, if None. A function of one's own belongs into a `tf.function` or `jax.jit` of one's own:
            no program is kept for it.

    Returns:
        ids (B, N, L) and scores (B, N) as from `generate_n_best`, and the attention weights
        (B, N, L, layers, heads, S), zeros after the end.
    """
    return _search(model, inputs, search, prefix_ids, seed, attention, keep_attention=True)


def generate_with_history(
    model: Any,
    inputs: Mapping[str, Any],
    search: Search,
    prefix_ids: Any = None,
    seed: Any = None,
) -> tuple[Any, Any, History]:
    """Like `generate_n_best`, and says which hypotheses there were at each step.

    It runs eagerly, step by step: for looking at a search, not for speed.

    Args:
        model, inputs, search, prefix_ids, seed: as for `generate`.

    Returns:
        ids (B, N, L) and scores (B, N) as from `generate_n_best`, and a `History`.

    Raises:
        ValueError: as for `generate`; or the caller is compiling.
    """
    if programs.is_traced(inputs):
        raise ValueError("A history is written down step by step. Received: a compiled call.")
    recording, steps = recorded(search)
    with programs.step_by_step():
        ids, scores, _ = _search(model, inputs, recording, prefix_ids, seed, is_compiled=False)
    return ids, scores, history_of(steps)


def hard_alignment(attention: Any, layer: int | None = None, head: int | None = None) -> Any:
    """The source position that each target position attends to most.

    Args:
        attention: (..., L, layers, heads, S), from `generate_with_attention`.
        layer, head: numbers, counted from 0, negative from the end; the mean over all if None.

    Returns:
        int32, (..., L). At padding it means nothing.
    """
    return ops.cast(ops.argmax(soft_alignment(attention, layer, head), axis=-1), "int32")


def soft_alignment(attention: Any, layer: int | None = None, head: int | None = None) -> Any:
    """Attention (..., layers, heads, S) of a layer and head, or their mean if None: (..., S)."""
    attention = ops.mean(attention, axis=-3) if layer is None else attention[..., layer, :, :]
    return ops.mean(attention, axis=-2) if head is None else attention[..., head, :]


def _search(model, inputs, search, prefix_ids, seed, attention=None, keep_attention=False, is_compiled=True):
    """Checks what is given, and runs a kept program."""
    if "prompt_ids" in inputs and prefix_ids is not None:
        raise ValueError("A prompt is what a result begins with: `prefix_ids` must be None. Received: both.")
    if "source_ids" not in inputs and search.needs:
        setting, value = next(iter(search.needs["source_mask"].items()))
        raise ValueError(
            f"`{setting}` needs a source of tokens, `source_ids`. For other inputs leave it out: "
            "`min_length` and `max_length` count the tokens of a result alone. "
            f"Received: {setting}={value}, inputs={sorted(inputs)}."
        )
    max_length = getattr(model, "max_length", None)
    given = {"inputs": inputs} if prefix_ids is None else {"inputs": inputs, "prefix_ids": prefix_ids}
    arrays = tensors.checked(given, max_length)
    prefix_ids = arrays["inputs"].get("prompt_ids", arrays.get("prefix_ids"))
    search.check_prefix(prefix_ids)
    if hasattr(search, "seed"):
        if seed is None:
            seed = fresh_seed() if search.seed is None else search.seed
        if isinstance(seed, int):
            seed = seed_word(dataclasses.replace(search, seed=seed).seed)  # which checks it
        arrays["seed"] = ops.cast(ops.convert_to_tensor(seed), "int32")
        if len(arrays["seed"].shape):
            tensors.checked({"inputs": inputs, "seed": arrays["seed"]})
        search = dataclasses.replace(search, seed=0)  # one program for all seeds
    elif seed is not None:
        raise ValueError(f"`seed` is for a search that draws. Received: seed={seed}, {search}.")
    with programs.without_gradients():
        if attention is not None:
            return _run(model, arrays, search, keep_attention, attention)
        _build(model, arrays["inputs"])
        if not is_compiled:
            return _run(model, arrays, search, keep_attention)
        padded = tensors.padded(arrays, search.pad_id, max_length, search.max_length - 1)
        result = programs.call(_run, model, padded, search, keep_attention)
        return result if padded is arrays else _cut(result, arrays["inputs"])


def _build(model, inputs):
    """Makes the variables of a model that was never called: no program may make them."""
    if not getattr(model, "built", True) and not programs.is_traced(inputs):
        state = model.initial_state(inputs, 1)
        rows = ops.shape(next(iter(inputs.values())))[0]
        model.decode_step(ops.zeros((rows,), "int32"), state, 0)


def _cut(result, inputs):
    """Results of padded inputs without what was added."""
    rows, attention = next(iter(inputs.values())).shape[0], result.attention
    if attention is not None:
        attention = attention[:rows]
        if "source_ids" in inputs:
            attention = attention[..., : inputs["source_ids"].shape[1]]
    return Result(result.ids[:rows], result.scores[:rows], attention)


def _run(model, arrays, search, keep_attention, attention=None):
    """From the source to the results, as tensors: what is compiled."""
    inputs = arrays["inputs"]
    rows = [*inputs.values(), *([arrays["prefix_ids"]] if "prefix_ids" in arrays else [])]
    source_ids = inputs.get("source_ids")
    return search(
        model.decode_step,
        model.initial_state(inputs, search.lengths[0]),
        ops.shape(rows[0])[0],
        grow=model.grow,
        source_mask=None if source_ids is None else masks.padding_mask(source_ids),
        prefix_ids=inputs.get("prompt_ids", arrays.get("prefix_ids")),
        attention=attention or model.attention,
        keep_attention=keep_attention,
        seed=arrays.get("seed"),
        streams=row_streams(*rows, is_counted=not len(arrays["seed"].shape)) if "seed" in arrays else None,
        read=getattr(model, "read", None),
    )
