"""Searches that follow one hypothesis for each row. They know a step function and no model."""

from dataclasses import dataclass

from keras import ops

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID


@dataclass(frozen=True)
class Greedy:
    """Takes the likeliest token at each step, until every row has ended or `max_length` is reached.

    Args:
        max_length: L, largest number of tokens of a result, the end token included, >= 1.
        start_id, end_id, pad_id: the special ids.
    """

    max_length: int
    start_id: int = START_ID
    end_id: int = END_ID
    pad_id: int = PAD_ID

    def __post_init__(self):
        if not isinstance(self.max_length, int) or self.max_length < 1:
            raise ValueError(
                f"`max_length` must be a positive integer. Received: max_length={self.max_length}."
            )

    def __call__(self, step_function, state, batch_size, record=None):
        """Decodes.

        Args:
            step_function: (token_ids (B,), state, index) -> (logits (B, V), state).
            state: its first state, a tree of tensors with the batch first.
            batch_size: B, an integer or a scalar tensor.
            record: state -> (B, ...), what is to be kept of each step's state; None for nothing.

        Returns:
            ids: int32, (B, L), without the start token; after the end token only padding.
            scores: float32, (B,), sum of the log-probabilities of the tokens, the end token included.
            recorded: (B, L, ...), zeros after a row's end; (B, L) zeros if nothing is recorded.
        """
        record = record or (lambda state: ops.zeros((batch_size,)))
        positions = ops.arange(self.max_length)
        loop = (
            ops.zeros((), "int32"),
            ops.full((batch_size,), self.start_id, "int32"),
            ops.zeros((batch_size,), "bool"),
            ops.full((batch_size, self.max_length), self.pad_id, "int32"),
            ops.zeros((batch_size,), "float32"),
            ops.repeat(ops.zeros_like(record(state))[:, None], self.max_length, axis=1),
            state,
        )

        def goes_on(index, token_ids, has_ended, *_):
            return ops.logical_not(ops.all(has_ended))

        def body(index, token_ids, has_ended, ids, scores, recorded, state):
            is_open = ops.logical_not(has_ended)[:, None]  # (B, 1)
            logits, state = step_function(token_ids, state, index)
            next_ids = ops.cast(ops.argmax(logits, axis=-1), "int32")
            # log softmax of the largest logit is its distance to the log-sum-exp.
            log_probs = ops.max(logits, axis=-1) - ops.logsumexp(logits, axis=-1)
            scores = ops.where(has_ended, scores, scores + log_probs)
            next_ids = ops.where(has_ended, self.pad_id, next_ids)
            # A row that has ended stays as it is, whatever its neighbours still do.
            ids = ops.where(positions == index, next_ids[:, None], ids)
            has_ended = ops.logical_or(has_ended, next_ids == self.end_id)
            new = record(state)[:, None]
            is_written = ops.logical_and(is_open, positions == index)  # (B, L)
            for _ in new.shape[2:]:
                is_written = is_written[..., None]
            recorded = ops.where(is_written, new, recorded)
            return index + 1, next_ids, has_ended, ids, scores, recorded, state

        loop = ops.while_loop(goes_on, body, loop, maximum_iterations=self.max_length)
        _, _, _, ids, scores, recorded, _ = loop
        return ids, scores, recorded


def generate(model, inputs, search):
    """Decodes with any model of the zoo.

    Args:
        model: has `initial_state(inputs, max_length)` and `decode_step(token_ids, state, index)`.
        inputs: the model's inputs without the target, say {"source_ids": (B, S)}.
        search: a search of this package, say `Greedy(max_length=64)`.

    Returns:
        ids: int32, (B, L), without the start token; after the end token only padding.
        scores: float32, (B,), log-probabilities of the results.
    """
    ids, scores, _ = _search(model, inputs, search)
    return ids, scores


def generate_with_attention(model, inputs, search):
    """Like `generate`, and keeps the attention to the source of the same pass.

    Args:
        model, inputs, search: as for `generate`; the model also has `attention(state)`.

    Returns:
        ids (B, L) and scores (B,) as from `generate`, and the attention weights (B, L, N, H, S): steps,
        layers, heads, source positions.
    """
    return _search(model, inputs, search, record=model.attention)


def _search(model, inputs, search, record=None):
    inputs = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
    batch_size = ops.shape(next(iter(inputs.values())))[0]
    state = model.initial_state(inputs, search.max_length)
    return search(model.decode_step, state, batch_size, record)
