"""A search that XLA compiles for a few shapes: what `serving.export --xla` puts into a graph.

Legend: B rows of a request, S source (or prompt) ids of a row.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from keras_transformer import decoding
from keras_transformer.decoding.draws import fresh_seed, seed_word
from keras_transformer.installation import needs
from keras_transformer.special_ids import PAD_ID
from keras_transformer.types import Tensor

with needs("text"):
    import tensorflow as tf


class CompiledSearch:
    """Takes the place of `decoding.generate_n_best` in a graph, with the same answers.

    Inputs that fit are filled up to the smallest of the shapes that holds them, so that XLA compiles these
    shapes and no others. All others go through the plain graph.

    Args:
        rows: numbers of rows, ascending, >= 1.
        lengths: numbers of ids of a row, ascending, >= 1. What holds no ids, say images, has no length.

    Raises:
        ValueError: they are not ascending, or below 1.
    """

    def __init__(self, rows: Sequence[int], lengths: Sequence[int]):
        for name, sizes in (("xla_rows", rows), ("xla_lengths", lengths)):
            if (sizes and sizes[0] < 1) or any(a >= b for a, b in zip(sizes, sizes[1:], strict=False)):
                raise ValueError(
                    f"`{name}` must be positive integers in ascending order, each once. "
                    f"Received: {name}={list(sizes)}."
                )
        if not rows:
            raise ValueError("`xla_rows` must have a number of rows at least. Received: none.")
        self.rows, self.lengths = tuple(rows), tuple(lengths)
        self._functions: dict[Any, Any] = {}

    @property
    def shapes(self) -> list[tuple[int, range]]:
        """Each of them: rows, and the numbers of ids that are filled up to one length; no ids, no numbers."""
        starts = (0, *self.lengths[:-1])
        numbers = [range(start + 1, end + 1) for start, end in zip(starts, self.lengths, strict=False)]
        return [(rows, ids) for rows in self.rows for ids in numbers or [range(0)]]

    def requests(self, ids: Callable[[Tensor], Tensor]) -> Iterator[list[str]]:
        """Texts for each shape, which make a server compile it.

        Args:
            ids: strings (B,) -> ids (B, S), padded, as the pipeline makes them.

        Raises:
            ValueError: there is no text for one of the shapes.
        """
        texts = [" ".join(["1"] * number) for number in range(self.lengths[-1] + 1)]
        counts = tf.math.count_nonzero(ids(tf.constant(texts)) != PAD_ID, axis=1).numpy()
        for rows, numbers in self.shapes:
            fitting = [text for text, count in zip(texts, counts, strict=True) if max(count, 1) in numbers]
            if not fitting:
                raise ValueError(
                    "Each of `xla_lengths` must be one that a text has. "
                    f"Received: {list(self.lengths)}; none has {numbers[0]} to {numbers[-1]} tokens."
                )
            yield fitting[-1:] * rows

    def __call__(
        self, model: Any, inputs: Mapping[str, Any], search: decoding.Search, seed: Any = None
    ) -> tuple[Any, Any]:
        """See `decoding.generate_n_best`."""
        given: dict[str, Any] = dict(inputs)
        if hasattr(search, "seed"):
            if seed is None:
                seed = fresh_seed() if search.seed is None else seed_word(search.seed)
            given["seed"] = tf.convert_to_tensor(seed, tf.int32)
        rows = tf.shape(next(iter(inputs.values())))[0]
        fits = (rows > 0) & (rows <= self.rows[-1])
        for name, x in inputs.items():
            if name.endswith("ids"):
                fits &= tf.shape(x)[1] <= self.lengths[-1]

        def compiled():
            function = self._compiled(model, search, given)
            return tuple(x[:rows] for x in function(self.filled_up(given)))

        def plain():
            return decoding.generate_n_best(model, inputs, search, seed=seed)

        return tf.cond(fits, compiled, plain)

    def filled_up(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors that fit, (B, ...) or scalars, in a compiled shape: copies of the first row, padding."""
        filled = {}
        for name, x in given.items():
            if name.endswith("ids"):
                missing = _least(self.lengths, tf.shape(x)[1]) - tf.shape(x)[1]
                x = tf.pad(x, [[0, 0], [0, missing]], constant_values=PAD_ID)
            if x.shape.rank:
                # A copy ends no later than its row.
                numbers = tf.range(_least(self.rows, tf.shape(x)[0]))
                x = tf.gather(x, tf.where(numbers < tf.shape(x)[0], numbers, 0))
            filled[name] = x
        return filled

    def _compiled(self, model, search, given):
        """The compiled function, one for all signatures that ask alike: a shape is compiled once."""
        key = (search, tuple((name, x.dtype, x.shape.rank) for name, x in given.items()))
        if key not in self._functions:

            @tf.function(jit_compile=True, autograph=False, reduce_retracing=True)
            def run(given):
                inputs = {name: x for name, x in given.items() if name != "seed"}
                return decoding.generate_n_best(model, inputs, search, seed=given.get("seed"))

            self._functions[key] = run
        return self._functions[key]


def _least(sizes, size):
    """The smallest of ascending sizes that is no smaller than `size`, int32."""
    sizes = tf.constant(sizes, tf.int32)
    return tf.gather(sizes, tf.searchsorted(sizes, size[None])[0])
