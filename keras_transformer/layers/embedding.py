"""Token embedding whose transpose gives the logits (Vaswani et al. 2017, section 3.4)."""

import math
from typing import Any

import keras
from keras import ops
from keras.src.backend import set_keras_mask  # no public name

from keras_transformer import arguments
from keras_transformer.types import Identifier, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class TokenEmbedding(arguments.KnownArguments, keras.layers.ReversibleEmbedding):
    """Ids -> vectors times `scale`; in reverse, vectors -> logits, mostly with the same weights.

    Vaswani et al. 2017, section 3.4, and Press & Wolf 2016. Built on Keras's `ReversibleEmbedding`,
    so that int8 and int4 keep the two directions tied; Keras has no float8 of it.

    Args:
        vocabulary_size: V, ids are 0 <= id < V.
        hidden_dim: D.
        mask_zero: whether Keras's implicit mask marks id 0 as padding for the layers that follow.
        scale: factor on the vectors; sqrt(hidden_dim), as in the paper, if None.
        logits_scale: factor on the hidden states before they become logits: hidden_dim ** -0.5 in the T5 of
            2020; None for none, as in the paper.
        use_logits_bias: whether a bias for each id is added to the logits, as in Marian; the paper has none.
        tie_weights: whether the logits come from the same matrix, as in the paper; else from one of their
            own, `reverse_embeddings`, (D, V), as in T5 1.1.
        embeddings_initializer: by default a normal distribution with deviation D ** -0.5, which gives
            scaled embeddings and first logits of unit variance.

    Call arguments:
        inputs: ids (B, T); with `reverse=True` hidden states (B, T, D).
        reverse: whether to project back to logits.

    Returns:
        (B, T, D) in the compute dtype, or logits (B, T, V) in float32.

    Raises:
        ValueError: a size is not positive, or an id that is known when called (not inside a graph)
            lies outside the vocabulary.
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int,
        mask_zero: bool = False,
        embeddings_initializer: Identifier | None = None,
        scale: float | None = None,
        logits_scale: float | None = None,
        use_logits_bias: bool = False,
        tie_weights: bool = True,
        **kwargs: Any,
    ):
        arguments.check_sizes(vocabulary_size=vocabulary_size, hidden_dim=hidden_dim)
        factors = {"scale": scale, "logits_scale": logits_scale}
        arguments.check_positive(**{name: x for name, x in factors.items() if x is not None})
        if embeddings_initializer is None:
            embeddings_initializer = keras.initializers.RandomNormal(stddev=hidden_dim**-0.5)
        super().__init__(
            vocabulary_size,
            hidden_dim,
            tie_weights=tie_weights,
            mask_zero=mask_zero,
            embeddings_initializer=embeddings_initializer,
            reverse_dtype="float32",  # the product itself: a cast behind it would keep bfloat16's steps
            **kwargs,
        )
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.scale = scale
        self.logits_scale = logits_scale
        self.use_logits_bias = use_logits_bias

    def build(self, input_shape: Shape | None = None) -> None:
        super().build(input_shape)
        if self.use_logits_bias:
            self.logits_bias = self.add_weight(
                name="logits_bias", shape=(self.vocabulary_size,), initializer="zeros", autocast=False
            )

    @property
    def variable_serialization_spec(self) -> dict[str, list[str]]:
        # What Keras saves, by mode of quantization.
        spec = super().variable_serialization_spec
        return {mode: [*names, *["logits_bias"] * self.use_logits_bias] for mode, names in spec.items()}

    def call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        return self._scaled(super().call, inputs, reverse)

    def quantized_call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        return self._scaled(super().quantized_call, inputs, reverse)

    def _scaled(self, looked_up, inputs, reverse):
        if reverse:
            arguments.check_vectors((*inputs.shape[:-1], self.hidden_dim), inputs=inputs)
            if self.logits_scale is not None:
                inputs = ops.cast(inputs, "float32") * self.logits_scale
            logits = ops.cast(looked_up(inputs, reverse=True), "float32")  # a quantized product is not
            return logits + self.logits_bias if self.use_logits_bias else logits
        self._check_ids(inputs)
        # A Python float keeps the dtype: a float32 tensor would not multiply float16.
        scaled = looked_up(inputs) * (math.sqrt(self.hidden_dim) if self.scale is None else self.scale)
        if self.mask_zero:
            set_keras_mask(scaled, ops.not_equal(inputs, 0))
        return scaled

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> None:
        # Keras refuses subclasses, whose `call` it does not know.
        super().quantize(mode, type_check=False, config=config)

    def _check_ids(self, ids):
        dtype = keras.backend.standardize_dtype(ids.dtype)
        if not dtype.startswith(("int", "uint", "bool")) and dtype not in ("float32", "float64"):
            raise ValueError(f"Ids must be integers: {dtype} cannot hold them. Received: dtype={dtype}.")
        known = arguments.known_value(ids)
        if known is not None and known.size and not 0 <= known.min() <= known.max() < self.vocabulary_size:
            raise ValueError(
                f"Ids must lie in 0 <= id < {self.vocabulary_size} (`vocabulary_size`). "
                f"Received: ids from {known.min()} to {known.max()}."
            )

    def compute_output_spec(self, inputs: Tensor, reverse: bool = False) -> keras.KerasTensor:
        spec = super().compute_output_spec(inputs, reverse=reverse)
        return keras.KerasTensor(spec.shape, dtype="float32") if reverse else spec

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in ("input_dim", "output_dim", "reverse_dtype", "logit_soft_cap"):
            config.pop(name)
        return config
