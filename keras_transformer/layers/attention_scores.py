"""Scores of recurrent attention, how well a key fits a query: layers with one interface.

Bahdanau et al. 2015, appendix A.1.2; Luong et al. 2015, section 3.1. Legend: B batch, T queries, S keys,
D width of the queries, U units.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_transformer import arguments
from keras_transformer.layers.projection import rowwise
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Shape, Tensor


class AttentionScore(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """Base of the scores: `project` once for each source, `compare` at each step.

    Call arguments:
        query: (B, T, D).
        keys: (B, S, width of the keys).

    Returns:
        (B, T, S) in the compute dtype: `compare(query, project(keys))`.
    """

    def call(self, query: Tensor, keys: Tensor) -> Tensor:
        arguments.check_vectors((None, None, self.query_width), query=query)
        arguments.check_vectors((query.shape[0], None, self.key_width), keys=keys)
        return self.compare(query, self.project(keys))

    def project(self, keys: Tensor) -> Tensor:
        """What of the score depends on the keys alone, to be given to `compare`.

        Args:
            keys: (B, S, width of the keys).

        Returns:
            (B, ...), laid out as the score needs it.
        """
        raise NotImplementedError

    def compare(self, query: Tensor, projected: Tensor) -> Tensor:
        """The scores of all pairs.

        Args:
            query: (B, T, D).
            projected: from `project`.

        Returns:
            (B, T, S).
        """
        raise NotImplementedError

    def build(self, query_shape: Shape, keys_shape: Shape) -> None:
        arguments.check_shapes(3, query=query_shape, keys=keys_shape)
        self.query_width, self.key_width = query_shape[-1], keys_shape[-1]

    def compute_output_shape(self, query_shape: Shape, keys_shape: Shape) -> Shape:
        return (*query_shape[:-1], keys_shape[1])

    def _dense(self, name, units, width):
        """A linear map without bias: the papers write none."""
        dense = keras.layers.Dense(units, use_bias=False, name=name, dtype=self.dtype_policy)
        dense.build((None, width))
        return dense


class ProductScore(AttentionScore):
    """Base of the scores that are products of a query and a key.

    Args:
        scaled: whether the product is divided by sqrt(D), as in Vaswani et al. 2017, section 3.2.1. Products
            of wide vectors grow into the hundreds, most of all under Adam; the soft-max then takes one
            key alone, and no gradient comes back from it.
    """

    def __init__(self, scaled: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.scaled = scaled

    def _laid_out(self, keys):
        """(B, S, D) -> (B, D, S), scaled: here, and not at each step."""
        keys = ops.swapaxes(keys, 1, 2)
        return keys * keys.shape[1] ** -0.5 if self.scaled else keys

    def compare(self, query: Tensor, projected: Tensor) -> Tensor:
        return ops.matmul(query, projected)


@keras.saving.register_keras_serializable(package="keras_transformer")
class DotScore(ProductScore):
    """h_t^T h_s: Luong et al. 2015, equation 8, "dot". No weights.

    Args:
        scaled: see `ProductScore`; not in the paper.

    Raises:
        ValueError: queries and keys do not have one width.
    """

    def build(self, query_shape: Shape, keys_shape: Shape) -> None:
        super().build(query_shape, keys_shape)
        if query_shape[-1] != keys_shape[-1]:
            raise ValueError(
                "The dot product needs queries and keys of one width. "
                f"Received: query_shape={tuple(query_shape)}, keys_shape={tuple(keys_shape)}."
            )

    def project(self, keys: Tensor) -> Tensor:
        return self._laid_out(keys)


@keras.saving.register_keras_serializable(package="keras_transformer")
class GeneralScore(ProductScore):
    """h_t^T W_a h_s: Luong et al. 2015, equation 8, "general".

    Args:
        scaled: see `ProductScore`; not in the paper.
    """

    def build(self, query_shape: Shape, keys_shape: Shape) -> None:
        super().build(query_shape, keys_shape)
        self.key_dense = self._dense("key", query_shape[-1], keys_shape[-1])

    def project(self, keys: Tensor) -> Tensor:
        return self._laid_out(rowwise(self.key_dense, keys))


@keras.saving.register_keras_serializable(package="keras_transformer")
class AdditiveScore(AttentionScore):
    """v_a^T tanh(W_a s + U_a h): Bahdanau et al. 2015, appendix A.1.2. No biases, as it is written there.

    Args:
        units: U, width inside; the query's if None.

    Raises:
        ValueError: `units` is not a positive integer.
    """

    def __init__(self, units: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        arguments.check_optional_sizes(units=units)
        self.units = units

    def build(self, query_shape: Shape, keys_shape: Shape) -> None:
        super().build(query_shape, keys_shape)
        units = query_shape[-1] if self.units is None else self.units
        self._build_inner(units, query_shape[-1], keys_shape[-1])
        self.score_dense = self._dense("score", 1, units)

    def _build_inner(self, units, query_width, key_width):
        self.query_dense = self._dense("query", units, query_width)
        self.key_dense = self._dense("key", units, key_width)

    def _project_query(self, query):
        return rowwise(self.query_dense, query)

    def project(self, keys: Tensor) -> Tensor:
        return rowwise(self.key_dense, keys)

    def compare(self, query: Tensor, projected: Tensor) -> Tensor:
        inner = ops.tanh(self._project_query(query)[:, :, None] + projected[:, None])  # (B, T, S, U)
        return rowwise(self.score_dense, inner)[..., 0]


@keras.saving.register_keras_serializable(package="keras_transformer")
class ConcatScore(AdditiveScore):
    """v_a^T tanh(W_a [h_t; h_s]): Luong et al. 2015, equation 8, "concat".

    W_a [h_t; h_s] = W_1 h_t + W_2 h_s, so that the keys' half is computed once. It differs from
    `AdditiveScore` in its one matrix, drawn for an input of both widths.
    """

    def _build_inner(self, units, query_width, key_width):
        self.kernel = self.add_weight((query_width + key_width, units), name="kernel")

    def _project_query(self, query):
        return self._times(query, slice(None, self.query_width))

    def project(self, keys: Tensor) -> Tensor:
        return self._times(keys, slice(self.query_width, None))

    def _times(self, x, rows):
        # Cast by hand: these methods are called at each step, outside of Keras's own casting.
        kernel = ops.cast(self.kernel, self.compute_dtype)[rows]
        return rowwise(lambda x: ops.matmul(x, kernel), x)


SCORES: dict[str, Callable[..., AttentionScore]] = {
    "additive": AdditiveScore,
    "dot": DotScore,
    "general": GeneralScore,
    "concat": ConcatScore,
    "scaled_dot": functools.partial(DotScore, scaled=True),
    "scaled_general": functools.partial(GeneralScore, scaled=True),
}
