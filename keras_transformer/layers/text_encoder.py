"""Ids -> hidden states that have seen both sides: BERT's encoder (Devlin et al. 2019)."""

from typing import Any

import keras
from keras import ops

from keras_transformer import arguments, masks
from keras_transformer.layers.embedding import TokenEmbedding
from keras_transformer.layers.encoder import Encoder
from keras_transformer.layers.positions import LearnedPositionalEncoding
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Identifier, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class TextEncoder(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """Encoder(Dropout(LayerNorm(token + segment + position))), every part learned.

    Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers", section 3 and figure 2. Paper
    symbols: L = num_layers, H = hidden_dim, A = num_heads. The three vectors begin with unit variance, where
    BERT's begin with a deviation of 0.02: the norm that follows makes them the same.

    Args:
        vocabulary_size: V, number of ids, special ids included.
        num_layers: L, >= 1.
        hidden_dim: D, a multiple of `num_heads`.
        num_heads: H, >= 1.
        intermediate_dim: width inside the feed-forward networks, >= 1; 4 D in the paper.
        dropout: probability of dropping one value of a sub-layer's output or of an embedding.
        attention_dropout: probability of dropping one attention weight.
        activation: of the feed-forward networks.
        norm_first: whether sub-layers normalise their input, with a final norm.
        max_length: number of positions that have a vector, >= 1.
        num_segments: number of segment ids, >= 1.
        norm_epsilon: added to the variance; 1e-12 in the authors' program.
        embedding_scale: factor on the vectors of tokens and segments; sqrt(D) if None, 1 in the paper.

    Call arguments:
        token_ids: integers, (B, T), padded with 0; T <= max_length.
        segment_ids: integers, (B, T), 0 <= id < num_segments: 0 for the first text of a pair, 1 for the
            second; all 0 if None.
        training: whether dropout is active; Keras hands it on to the layers inside.

    Returns:
        (B, T, D) in the compute dtype. Rows at padding mean nothing.

    Raises:
        ValueError: a size is out of range, or T is known and larger than `max_length`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int = 12,
        hidden_dim: int = 768,
        num_heads: int = 12,
        intermediate_dim: int = 3072,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        activation: Identifier = "gelu",
        norm_first: bool = False,
        max_length: int = 512,
        num_segments: int = 2,
        norm_epsilon: float = 1e-6,
        embedding_scale: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        arguments.check_sizes(
            vocabulary_size=vocabulary_size,
            num_layers=num_layers,
            hidden_dim=hidden_dim,
            num_heads=num_heads,
            intermediate_dim=intermediate_dim,
            max_length=max_length,
            num_segments=num_segments,
        )
        arguments.check_rates(dropout=dropout, attention_dropout=attention_dropout)
        arguments.check_heads(hidden_dim, num_heads)
        self.vocabulary_size = vocabulary_size
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.activation = keras.activations.get(activation)
        self.norm_first = norm_first
        self.max_length = max_length
        self.num_segments = num_segments
        self.norm_epsilon = norm_epsilon
        self.embedding_scale = embedding_scale

        policy = self.dtype_policy
        self.token_embedding = TokenEmbedding(
            vocabulary_size, hidden_dim, scale=embedding_scale, dtype=policy, name="token_embedding"
        )
        self.segment_embedding = TokenEmbedding(
            num_segments, hidden_dim, scale=embedding_scale, dtype=policy, name="segment_embedding"
        )
        self.positions = LearnedPositionalEncoding(
            max_length, keras.initializers.RandomNormal(stddev=1.0), dtype=policy, name="positions"
        )
        self.norm = keras.layers.LayerNormalization(epsilon=norm_epsilon, dtype=policy, name="norm")
        self.dropout_layer = keras.layers.Dropout(dropout, dtype=policy)
        self.encoder = Encoder(
            num_layers,
            num_heads,
            intermediate_dim,
            dropout=dropout,
            attention_dropout=attention_dropout,
            activation=self.activation,
            norm_first=norm_first,
            norm_epsilon=norm_epsilon,
            dtype=policy,
            name="encoder",
        )

    def build(self, token_ids_shape: Shape | None = None, segment_ids_shape: Shape | None = None) -> None:
        width = (None, None, self.hidden_dim)
        self.token_embedding.build((None, None))
        self.segment_embedding.build((None, None))
        for layer in (self.positions, self.norm, self.encoder):
            layer.build(width)

    def call(
        self, token_ids: Tensor, segment_ids: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        if segment_ids is None:
            segment_ids = ops.zeros_like(token_ids)
        if len(token_ids.shape) != 2 or len(segment_ids.shape) != 2:
            raise ValueError(
                "Ids must have the shape (batch, length). "
                f"Received: token_ids={token_ids.shape}, segment_ids={segment_ids.shape}."
            )
        arguments.check_masks(token_ids.shape, segment_ids=segment_ids)
        hidden = self.token_embedding(token_ids) + self.segment_embedding(segment_ids)
        hidden = self.dropout_layer(self.norm(self.positions(hidden)))
        return self.encoder(hidden, hidden_mask=masks.padding_mask(token_ids))

    def compute_output_shape(self, token_ids_shape: Shape, segment_ids_shape: Shape | None = None) -> Shape:
        return (*token_ids_shape, self.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "num_layers": self.num_layers,
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "activation": keras.activations.serialize(self.activation),
            "norm_first": self.norm_first,
            "max_length": self.max_length,
            "num_segments": self.num_segments,
            "norm_epsilon": self.norm_epsilon,
            "embedding_scale": self.embedding_scale,
        }
