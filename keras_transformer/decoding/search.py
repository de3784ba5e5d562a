"""Base of the searches: limits, and the one loop over positions. No search knows a model.

Legend: B batch, W hypotheses of a source, R = B * W rows, L longest result, S source, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_transformer.decoding.constraints import Constraints, Rules
from keras_transformer.decoding.prefix import Prefix
from keras_transformer.special_ids import END_ID, PAD_ID, START_ID
from keras_transformer.types import Tensor, Tree

# Positions that there is room for at first; doubled whenever they are used up. A step reads and writes
# its whole room, so room for a long text would make every short one pay.
FIRST_LENGTH = 16

# Score of a hypothesis that is not there: far beyond one that does what is banned at every step.
NOT_FOUND = -1e30


class Result(NamedTuple):
    """What a search returns.

    Attributes:
        ids: int32, (B, N, L), without the start token; after the end token only padding.
        scores: float32, (B, N), sums of the model's log-probabilities of the tokens, the end token
            included. -inf, and only padding, where there are fewer than N hypotheses.
        attention: (B, N, L, ...), what was read at each step, zeros after the end; None unless it was
            to be kept.
    """

    ids: Any
    scores: Any
    attention: Any


@dataclass(frozen=True)
class Search(Constraints):
    """Base of `Greedy`, `Sampling` and `BeamSearch`: the limits and the rules on tokens.

    Padding and the start token are never chosen. The other arguments are those of `Constraints`; by position
    `max_length` alone.

    Args:
        start_id, end_id, pad_id: the special ids.

    Raises:
        ValueError: a value is out of range.
    """

    _: KW_ONLY
    start_id: int = START_ID
    end_id: int = END_ID
    pad_id: int = PAD_ID

    @property
    def num_hypotheses(self) -> int:
        """W, hypotheses that are followed for each source."""
        return 1

    @property
    def needs(self) -> dict[str, dict[str, Any]]:
        """The optional arguments of a call that this search cannot do without: {name: {setting: value}}."""
        return {"source_mask": self.ratios} if self.ratios else {}

    @property
    def lengths(self) -> list[int]:
        """Numbers of steps that the state has room for, one after the other; the last is L."""
        lengths = [FIRST_LENGTH]
        while lengths[-1] < self.max_length:
            lengths.append(2 * lengths[-1])
        return [*lengths[:-1], self.max_length]

    def __call__(
        self,
        step_function: Callable[[Tensor, Tree, Tensor], tuple[Tensor, Tree]],
        state: Tree,
        batch_size: int | Tensor,
        *,
        grow: Callable[[Tree, int], Tree] | None = None,
        source_mask: Tensor | None = None,
        prefix_ids: Tensor | None = None,
        attention: Callable[[Tree], Tensor] | None = None,
        keep_attention: bool = False,
        seed: Tensor | None = None,
        streams: Tensor | None = None,
        read: Callable[[Tensor, Tree, Tensor], tuple[Tensor, Tree]] | None = None,
    ) -> Result:
        """Searches. Each row is on its own: what else is in the batch changes nothing.

        Args:
            step_function: (token_ids (R,), state, index) -> (logits (R, V), state).
            state: the first one, {"source": tree, "target": tree}, see `models.AutoregressiveModel`.
            batch_size: B, an integer or a scalar tensor.
            grow: (target state, length) -> target state with room for so many steps. If given, `state` has
                room for `lengths[0]` steps; if None, for `max_length`.
            source_mask: bool, (B, S), True = a real token; ratios and coverage need it.
            prefix_ids: int, (B, P), P < L: what each result begins with, padded at the end; None for
                nothing. It counts in the score.
            attention: state -> (R, ..., S), the attention of the step that returned the state; coverage and
                `keep_attention` need it.
            keep_attention: whether to return the attention of each result's steps.
            seed: int32, a scalar or (B,), of the draws; the search's own if None.
            streams: int32, (B,), which random numbers each row has, see `draws.row_streams`; the rows'
                numbers if None.
            read: (token_ids (R, T), state, index) -> (logits (R, T, V), state), T steps in one pass. If
                given, what all rows begin with is read by it, see `prefix.py`; if None, step by step.

        Returns:
            `Result`.

        Raises:
            ValueError: an argument that this search needs is None, or the prefix leaves no room.
        """
        given = {"source_mask": source_mask, "attention": attention}
        needs = self.needs | ({"attention": {"keep_attention": True}} if keep_attention else {})
        for name, settings in needs.items():
            if given[name] is None:
                setting, value = next(iter(settings.items()))
                raise ValueError(
                    f"`{setting}` needs `{name}`: give it in the call, or leave `{setting}` out. "
                    f"Received: {name}=None, {setting}={value}."
                )
        self.check_prefix(prefix_ids)
        width, positions = self.num_hypotheses, ops.arange(self.max_length)
        rules = Rules(self, batch_size, source_mask, prefix_ids)
        loop = {
            "index": ops.zeros((), "int32"),
            "tokens": ops.full((batch_size, width), self.start_id, "int32"),
            "ids": ops.full((batch_size * width, self.max_length), self.pad_id, "int32"),
            "scores": ops.zeros((batch_size, width), "float32"),
            "is_closed": ops.zeros((batch_size, width), "bool"),
            "target": _repeated(state["target"], width),
            **self._start(batch_size, source_mask),
            **self._random(batch_size, seed, streams),
        }
        if keep_attention:
            first = _repeated(attention(state), width)
            loop["attention"] = ops.repeat(ops.zeros_like(first)[:, None], self.max_length, axis=1)
            # A hypothesis moves from row to row; these are the rows where it was at each step.
            loop["rows"] = ops.zeros_like(loop["ids"])

        def body(loop):
            index = loop["index"]
            logits, new_state = step_function(
                ops.reshape(loop["tokens"], (-1,)),
                {"source": state["source"], "target": loop["target"]},
                index,
            )
            loop = {**loop, "target": new_state["target"]}
            if "coverage" in loop:
                step_attention = attention(new_state)
                axes = tuple(range(1, len(step_attention.shape) - 1))
                loop["coverage"] = loop["coverage"] + ops.cast(ops.mean(step_attention, axis=axes), "float32")
            is_now = positions == index
            if keep_attention:
                loop["attention"] = _written(loop["attention"], attention(new_state), is_now)

            ranking = rules.penalised(logits, loop["ids"])
            allowed = rules.allowed(ranking, loop["ids"], index)
            chosen, parents = self._choose(logits, ranking, allowed, loop, rules)
            loop |= chosen
            rows = ops.arange(batch_size * width)
            if parents is not None:
                rows = ops.reshape(ops.arange(batch_size)[:, None] * width + parents, (-1,))
                moving = {name: loop[name] for name in ("ids", "target", "rows", "coverage") if name in loop}
                loop |= keras.tree.map_structure(lambda x: ops.take(x, rows, axis=0), moving)
            loop["ids"] = ops.where(is_now, ops.reshape(loop["tokens"], (-1, 1)), loop["ids"])
            if keep_attention:
                loop["rows"] = ops.where(is_now, rows[:, None], loop["rows"])
            return {**loop, "index": index + 1}

        prefix = None
        if rules.prefix is not None and read is not None and self._may_read_ahead(keep_attention):
            prefix = Prefix(self, rules.prefix)
            loop |= {"ids": prefix.ids, "tokens": ops.reshape(prefix.last, ops.shape(loop["tokens"]))}

        room = 0
        for length in self.lengths if grow else [self.max_length]:
            if room:
                loop["target"] = grow(loop["target"], length)
            if prefix is not None:
                loop |= self._read(prefix, read, state["source"], loop, room, length)
            room = length

            def goes_on(loop, length=length):
                return ops.logical_and(loop["index"] < length, ops.logical_not(ops.all(loop["is_closed"])))

            loop = ops.while_loop(goes_on, body, loop)

        best, scores = self._best(loop)  # (B, N)
        rows = ops.arange(batch_size)[:, None] * width + best
        ids = ops.take(loop["ids"], rows, axis=0)  # (B, N, L)
        is_found = scores > NOT_FOUND / 2
        ids = ops.where(is_found[..., None], ids, self.pad_id)
        scores = ops.where(is_found, scores, -float("inf"))
        if not keep_attention:
            return Result(ids, scores, None)
        places = ops.take(loop["rows"], rows, axis=0) * self.max_length + positions
        flat = ops.reshape(loop["attention"], (-1, *ops.shape(loop["attention"])[2:]))
        kept = ops.take(flat, places, axis=0)  # (B, N, L, ...)
        is_real = ops.cast(ids != self.pad_id, kept.dtype)
        return Result(ids, scores, kept * ops.reshape(is_real, (*ops.shape(ids), *[1] * len(flat.shape[1:]))))

    def check_prefix(self, prefix_ids: Tensor | None) -> None:
        """Raises ValueError if a prefix (B, P), or None, leaves no room; where P is not known it is cut."""
        if prefix_ids is not None and (prefix_ids.shape[1] or 0) >= self.max_length:
            raise ValueError(
                "A prefix must be shorter than `max_length`. "
                f"Received: {prefix_ids.shape[1]} tokens, max_length={self.max_length}."
            )

    def _may_read_ahead(self, keep_attention):
        """Whether nothing but log-probabilities is needed of the steps of a forced prefix."""
        return not keep_attention and "attention" not in self.needs

    def _read(self, prefix, read, source, loop, room, length):
        """Changes of the loop by what of the prefix fits into `length` positions, `room` of which are old."""
        index, gained, target = prefix.read(read, source, loop["target"], loop["index"], room, length)
        gained = ops.reshape(gained, ops.shape(loop["scores"]))
        return {"index": index, "target": target, **self._gained(loop, gained)}

    def _gained(self, loop, log_probs):
        """Changes of the loop by the log-probabilities (B, W) of tokens that all rows were forced to."""
        return {"scores": loop["scores"] + log_probs}

    def _start(self, batch_size, source_mask):
        """What else the search carries from step to step."""
        return {}

    def _random(self, batch_size, seed, streams):
        """What the search draws, a part of what is carried."""
        return {}

    def _choose(self, logits, ranking, allowed, loop, rules):
        """Decides one position.

        Args:
            logits: (R, V), the model's.
            ranking: (R, V), with penalties.
            allowed: (R, V), what of `ranking` is left after the rules.
            loop: what is carried.
            rules: `Rules`.

        Returns:
            Changes of the loop: "tokens", "scores", "is_closed" (B, W) and what `_start` gave; and the
            hypothesis that each goes on from, int32 (B, W), or None for itself.
        """
        raise NotImplementedError

    def _best(self, loop):
        """The results among the hypotheses: their numbers and scores, (B, N)."""
        return ops.broadcast_to(ops.arange(self.num_hypotheses), ops.shape(loop["scores"])), loop["scores"]


def _repeated(tree, width):
    return tree if width == 1 else keras.tree.map_structure(lambda x: ops.repeat(x, width, axis=0), tree)


def _written(x, new, is_now):
    """x (R, L, ...) with `new` (R, ...) at the position that `is_now` (L,)."""
    return ops.where(ops.reshape(is_now, (-1, *[1] * len(new.shape[1:]))), new[:, None], x)
