"""Ids -> hidden states that have seen both sides: BERT's encoder (Devlin et al. 2019)."""

from typing import Unpack

import keras
from keras import ops

from keras_transformer import arguments, masks
from keras_transformer.layers.embedding import TokenEmbedding
from keras_transformer.layers.encoder import Encoder
from keras_transformer.layers.layer_config import LayerConfig, LayerFields, TakesLayerConfig
from keras_transformer.layers.normalization import norm_layer
from keras_transformer.layers.position_kinds import encoded, input_encoding, named
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class TextEncoder(TakesLayerConfig, KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """Encoder(Dropout(LayerNorm(token + segment + position))), every part learned by default.

    Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers", section 3 and figure 2. Paper
    symbols: L = num_layers, H = hidden_dim, A = num_heads. The three vectors begin with unit variance, where
    BERT's begin with a deviation of 0.02: the norm that follows makes them the same.

    Args:
        vocabulary_size: V, number of ids, special ids included.
        num_layers: L, >= 1.
        hidden_dim: D.
        num_heads: H, 12 if None.
        intermediate_dim: width inside the feed-forward networks, 3,072 if None; 4 D in the paper.
        key_dim: width of one head; hidden_dim / num_heads if None.
        max_length: number of learned positions, 512 if None; None for other `positions`, which have no limit.
        num_segments: number of segment ids, >= 1.
        embedding_scale: factor on the vectors of tokens and segments; sqrt(D) if None, 1 in the paper.
        config: a whole `LayerConfig` in place of its fields. Its norm is also that of the embeddings.
        **fields: the others of `LayerConfig`; `dropout` (0.1) also drops values of an embedding;
            `norm_epsilon` is 1e-12 in the authors' program. What stands as attribute `positions` is the layer
            that adds them, or None.

    Call arguments:
        token_ids: integers, (B, T), padded with 0; T <= max_length where positions are learned.
        segment_ids: integers, (B, T), 0 <= id < num_segments: 0 for the first text of a pair, 1 for the
            second; all 0 if None.
        training: whether dropout is active; Keras hands it on to the layers inside.

    Returns:
        (B, T, D) in the compute dtype. Rows at padding mean nothing.

    Raises:
        ValueError: a size is out of range, or T is known and larger than `max_length`.
    """

    layer_defaults = {
        "num_heads": 12,
        "intermediate_dim": 3072,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "activation": "gelu",
    }

    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int = 12,
        hidden_dim: int = 768,
        num_heads: int | None = None,
        intermediate_dim: int | None = None,
        key_dim: int | None = None,
        *,
        max_length: int | None = None,
        num_segments: int = 2,
        embedding_scale: float | None = None,
        config: LayerConfig | None = None,
        **fields: Unpack[LayerFields],
    ):
        super().__init__(
            num_heads=num_heads, intermediate_dim=intermediate_dim, key_dim=key_dim, config=config, **fields
        )
        arguments.check_sizes(
            vocabulary_size=vocabulary_size,
            num_layers=num_layers,
            hidden_dim=hidden_dim,
            num_segments=num_segments,
        )
        arguments.check_optional_sizes(max_length=max_length)
        arguments.check_heads(hidden_dim, self.num_heads, self.key_dim)
        policy, config = self.dtype_policy, self.config
        if max_length is None and named(config.positions, "learned")[0] == "learned":
            max_length = 512
        self.vocabulary_size = vocabulary_size
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.max_length = max_length
        self.num_segments = num_segments
        self.embedding_scale = embedding_scale

        self.token_embedding = TokenEmbedding(
            vocabulary_size, hidden_dim, scale=embedding_scale, dtype=policy, name="token_embedding"
        )
        self.segment_embedding = TokenEmbedding(
            num_segments, hidden_dim, scale=embedding_scale, dtype=policy, name="segment_embedding"
        )
        unit_variance = keras.initializers.RandomNormal(stddev=1.0)
        self.positions = input_encoding(
            config.positions, max_length, unit_variance, dtype=policy, name="positions"
        )
        self.norm = norm_layer(config.normalization, config.norm_epsilon, dtype=policy, name="norm")
        self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=policy)
        self.encoder = Encoder(num_layers, config=config, dtype=policy, name="encoder")

    def build(self, token_ids_shape: Shape | None = None, segment_ids_shape: Shape | None = None) -> None:
        width = (None, None, self.hidden_dim)
        self.token_embedding.build((None, None))
        self.segment_embedding.build((None, None))
        for layer in (self.positions, self.norm, self.encoder):
            if layer is not None:
                layer.build(width)

    def call(
        self, token_ids: Tensor, segment_ids: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        hidden = self._embedded(token_ids, segment_ids)
        return self.encoder(hidden, hidden_mask=masks.padding_mask(token_ids))

    def attend(self, token_ids: Tensor, segment_ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As a call without dropout; returns the attention weights of all layers too, (B, N, H, T, T)."""
        hidden = self._embedded(token_ids, segment_ids)
        return self.encoder.attend(hidden, hidden_mask=masks.padding_mask(token_ids))

    def _embedded(self, token_ids, segment_ids):
        """What the stack sees, (B, T, D)."""
        if segment_ids is None:
            segment_ids = ops.zeros_like(token_ids)
        if len(token_ids.shape) != 2 or len(segment_ids.shape) != 2:
            raise ValueError(
                "Ids must have the shape (batch, length). "
                f"Received: token_ids={token_ids.shape}, segment_ids={segment_ids.shape}."
            )
        arguments.check_masks(token_ids.shape, segment_ids=segment_ids)
        hidden = self.token_embedding(token_ids) + self.segment_embedding(segment_ids)
        return self.dropout_layer(self.norm(encoded(self.positions, hidden)))

    def compute_output_shape(self, token_ids_shape: Shape, segment_ids_shape: Shape | None = None) -> Shape:
        return (*token_ids_shape, self.hidden_dim)
