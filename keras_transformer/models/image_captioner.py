"""Image captioning with attention (Xu et al. 2015, "Show, Attend and Tell")."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Unpack

import keras
from keras import ops

from keras_transformer import arguments, layers
from keras_transformer.layers.layer_config import SIZES, LayerFields, as_config, split_fields
from keras_transformer.layers.position_kinds import encoded, input_encoding
from keras_transformer.models.base import AutoregressiveModel, check_inputs, id_specs, image_spec
from keras_transformer.types import Shape, Tensor, Tree

DECODERS = ("gru", "transformer")


@keras.saving.register_keras_serializable(package="keras_transformer")
class ImageCaptioner(AutoregressiveModel):
    """A convolutional network reads the image, a decoder says what it sees, looking at the grid word by word.

    Xu et al. 2015, section 3.1: the memory is the grid of the last convolution, so that attention can be
    drawn over the image. Each vector of the grid is projected to D and normalised, and a sinusoid of its row
    and column is added, for both decoders: the captions of a scene say where things are. The encoder has no
    self-attention, which would move what is seen away from its place.

    decoder="gru" is the paper's soft attention (section 4.2) in the layout of `layers.RecurrentDecoder`: a
    GRU where the paper has an LSTM, the additive score, and cells that begin with tanh(W mean of the grid)
    (section 3.1.2). The gate beta and the penalty of section 4.2.1 are left out.
    decoder="transformer" is `layers.Decoder` over the same grid (Vaswani et al. 2017).

    Args:
        vocabulary_size: V, number of ids, special ids included.
        decoder: "gru" or "transformer".
        num_layers: of the decoder, >= 1.
        hidden_dim: D, width of the memory, the embedding and the decoder, >= 1.
        num_heads: H of the Transformer decoder, 4 if None; a GRU has none.
        intermediate_dim: width inside its feed-forward networks, 4 D if None; a GRU has none.
        filters: numbers of channels of the blocks that read the image, see `layers.ImageEncoder`.
        channels: C of the images: 1 for grey, 3 for colours.
        key_dim: width of one of its heads, D / H if None; a GRU has none.
        config: a whole `layers.LayerConfig` of the Transformer decoder, in place of its fields.
        **fields: `dropout` (0.1), the probability of dropping one value of the memory, an embedding, what
            goes from one recurrent layer to the next and to the logits, or a sub-layer's output. The others
            of `layers.LayerConfig` are the Transformer decoder's; its positions are the sinusoid if None.

    Call arguments:
        inputs: {"image": (B, H, W, C), floats from 0 to 1 or uint8, "target_ids": (B, T), integers padded
            with 0}. The target starts with the start token and is what the model has seen when it predicts
            the label. Images of one batch have one size, which may be another in the next.
        training: whether dropout is active and norms use the batch's statistics.

    Returns:
        Logits, float32, (B, T, V): row t predicts the token after target t.

    Raises:
        ValueError: a size is out of range, there is no such decoder, or a GRU is given what it has not.
    """

    def __init__(
        self,
        vocabulary_size: int,
        decoder: Literal["gru", "transformer"] = "transformer",
        num_layers: int = 2,
        hidden_dim: int = 128,
        num_heads: int | None = None,
        intermediate_dim: int | None = None,
        filters: Sequence[int] = (16, 32, 64, 64),
        channels: int = 3,
        *,
        key_dim: int | None = None,
        config: layers.LayerConfig | None = None,
        **fields: Unpack[LayerFields],
    ):
        given, others = split_fields(fields)
        given |= {"num_heads": num_heads, "intermediate_dim": intermediate_dim, "key_dim": key_dim}
        super().__init__(**others)
        if decoder not in DECODERS:
            raise ValueError(f"`decoder` must be one of {list(DECODERS)}. Received: decoder={decoder!r}.")
        for name, value in {**given, "config": config}.items():
            if decoder == "gru" and value is not None and name != "dropout":
                raise ValueError(f"`{name}` must be None where decoder='gru'. Received: {name}={value}.")
        arguments.check_sizes(
            vocabulary_size=vocabulary_size, num_layers=num_layers, hidden_dim=hidden_dim, channels=channels
        )
        # A GRU has the field `dropout` alone.
        defaults = {"num_heads": 4, "intermediate_dim": 4 * hidden_dim, "dropout": 0.1}
        config = as_config(config, given, defaults)
        arguments.check_heads(hidden_dim, 1 if decoder == "gru" else config.num_heads, config.key_dim)
        dropout = config.dropout
        self.vocabulary_size = vocabulary_size
        self.decoder_name = decoder
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.config = config if decoder == "transformer" else None
        for name, value in self._layer_fields().items():
            setattr(self, name, value)
        self.dropout = dropout
        self.channels = channels

        policy = self.dtype_policy
        self.encoder = layers.ImageEncoder(filters, attention=False, dtype=policy, name="encoder")
        self.filters = self.encoder.filters
        self.target_embedding = layers.TokenEmbedding(
            vocabulary_size, hidden_dim, dtype=policy, name="target_embedding"
        )
        self.memory_dense = keras.layers.Dense(hidden_dim, dtype=policy, name="memory")
        self.memory_norm = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy, name="memory_norm")
        self.grid_positions = layers.GridPositionalEncoding(dtype=policy, name="grid_positions")
        self.dropout_layer = keras.layers.Dropout(dropout, dtype=policy)
        if decoder == "gru":
            score = layers.AdditiveScore(dtype=policy, name="score")
            attend = layers.RecurrentAttention(score, dtype=policy, name="attention")
            self.decoder = layers.RecurrentDecoder(
                num_layers, hidden_dim, hidden_dim, attend, dropout=dropout, dtype=policy, name="decoder"
            )
            self.first_states = keras.layers.Dense(
                num_layers * hidden_dim, activation="tanh", dtype=policy, name="first_states"
            )
        else:
            self.target_positions = input_encoding(config.positions, dtype=policy, name="target_positions")
            self.decoder = layers.Decoder(num_layers, config=config, dtype=policy, name="decoder")

    def _layer_fields(self):
        return dict.fromkeys(SIZES) if self._is_recurrent else self.config.get_config()

    @property
    def _is_recurrent(self):
        return self.decoder_name == "gru"

    def build(self, input_shape: Any = None) -> None:
        width = (None, None, self.hidden_dim)
        self.encoder.build((None, None, None, self.channels))
        self.memory_dense.build((None, None, None, self.filters[-1]))
        self.memory_norm.build((None, *width))
        self.target_embedding.build((None, None))
        self.decoder.build(width, width)
        if self._is_recurrent:
            self.first_states.build((None, self.hidden_dim))

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        check_inputs(inputs, "image", "target_ids")
        memory = self.encode(inputs["image"], training=training)
        return self.decode(inputs["target_ids"], memory, training=training)

    def encode(self, image: Tensor, training: bool | None = None) -> Tensor:
        """Image (B, H, W, C) -> memory (B, H' W', D), positions row by row."""
        grid = self.memory_norm(self.memory_dense(self.encoder(image, training=training)))
        grid = self.dropout_layer(self.grid_positions(grid), training=training)
        _, height, width, _ = ops.shape(grid)
        return ops.reshape(grid, (-1, height * width, self.hidden_dim))

    def grid_shape(self, height: int | None, width: int | None) -> Shape:
        """(H', W') of the memory of an image of so many pixels; attention is drawn in this shape."""
        return self.encoder.grid_shape(height, width)

    def decode(self, target_ids: Tensor, memory: Tensor, training: bool | None = None) -> Tensor:
        """Target ids (B, T) and memory (B, H' W', D) -> logits, float32, (B, T, V)."""
        hidden = self._embedded(target_ids, training)
        # No padding mask on the target: its padding comes last, where no real token looks.
        if self._is_recurrent:
            hidden = self.decoder.decode(hidden, self._first_state(memory), training=training)
            hidden = self.dropout_layer(hidden, training=training)
        else:
            hidden = self.decoder(hidden, memory, training=training)
        return self.target_embedding(hidden, reverse=True)

    def _embedded(self, target_ids, training):
        hidden = self.target_embedding(target_ids)
        if not self._is_recurrent:
            hidden = encoded(self.target_positions, hidden)
        return self.dropout_layer(hidden, training=training)

    def _attention_weights(self, inputs):
        # "cross", over H' W' positions row by row; and a Transformer's "decoder".
        check_inputs(inputs, "image", "target_ids")
        memory = self.encode(inputs["image"], training=False)
        hidden = self._embedded(inputs["target_ids"], training=False)
        if self._is_recurrent:
            _, weights = self.decoder.attend(hidden, self._first_state(memory))
            return {"cross": weights[:, None, None]}
        _, decoder, cross = self.decoder.attend(hidden, memory)
        return {"decoder": decoder, "cross": cross}

    def _first_state(self, memory):
        """The recurrent decoder's state before the first step."""
        states = self.first_states(ops.mean(memory, axis=1))
        return self.decoder.initial_state(
            memory, [[state] for state in ops.split(states, self.num_layers, axis=-1)]
        )

    def input_specs(self) -> Tree:
        """See `ZooModel`."""
        return {"image": image_spec(self.channels), **id_specs("target_ids")}

    def initial_state(self, inputs: Mapping[str, Tensor], max_length: int) -> Tree:
        """See `AutoregressiveModel`; `inputs` is {"image": (B, H, W, C)}."""
        if not self.built:  # it was never called
            self.build()
        memory = self.encode(inputs["image"], training=False)
        if self._is_recurrent:
            return self._first_state(memory)
        return self.decoder.initial_state(memory, max_length)

    def grow(self, target_state: Tree, max_length: int) -> Tree:
        """See `AutoregressiveModel`; a recurrent state has no length."""
        return target_state if self._is_recurrent else self.decoder.grow(target_state, max_length)

    def decode_step(self, token_ids: Tensor, state: Tree, index: int | Tensor) -> tuple[Tensor, Tree]:
        """See `AutoregressiveModel`."""
        if self._is_recurrent:
            projected = self.decoder.project(self.target_embedding(token_ids))
            hidden, state = self.decoder.step(projected, state)
        else:
            hidden = self.target_embedding(ops.expand_dims(token_ids, 1))
            hidden = encoded(self.target_positions, hidden, index)
            hidden, state = self.decoder.step(hidden, state, index)
            hidden = hidden[:, 0]
        return self.target_embedding(hidden, reverse=True), state

    def attention(self, state: Tree) -> Tensor:
        """See `AutoregressiveModel`: (R, N, H, H' W'), positions row by row; N = H = 1 for a GRU."""
        attention = state["attention"]
        return attention[:, None, None, :] if self._is_recurrent else ops.stack(attention, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "decoder": self.decoder_name,
            "filters": list(self.filters),
            "dropout": self.dropout,
            **self._layer_fields(),
        }
