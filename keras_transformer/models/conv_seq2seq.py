"""The convolutional encoder-decoder (Gehring et al. 2017, "Convolutional Sequence to Sequence Learning")."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_transformer import arguments, layers, masks
from keras_transformer.layers.gated_convolution import SQRT_HALF, linear
from keras_transformer.models.base import check_inputs
from keras_transformer.models.seq2seq import Seq2Seq
from keras_transformer.types import Tensor, Tree


@keras.saving.register_keras_serializable(package="keras_transformer")
class ConvSeq2Seq(Seq2Seq):
    """ConvS2S: gated convolutions in place of recurrence, and attention in every layer of the decoder.

    Gehring et al. 2017, section 3. Paper symbols: d = hidden_dim, f = embedding_dim, k = kernel_size.
    `ConvDecoderLayer` says where the authors' program was followed and not the text, and
    `GatedConvolution` what became of weight normalisation. In training the encoder's gradients are
    divided by 2 * num_layers, but for the path by the embeddings e in z + e: section 3.4 divides by the
    number of attentions, the authors' program by twice that.

    Args:
        source_vocabulary_size: number of source ids, special ids included.
        target_vocabulary_size: V, number of target ids, special ids included.
        num_layers: of the encoder and of the decoder, >= 1.
        hidden_dim: D, width of the convolutions, >= 1.
        embedding_dim: F, width of the embeddings and of the attention, >= 1; hidden_dim if None.
        kernel_size: k, positions that one convolution sees, >= 1.
        dropout: probability of dropping one value of an embedding, of a convolution's input, or of what the
            logits are made of.
        max_length: number of learned positions, of the source and of the target; longer texts are refused.
        share_embeddings: whether source, target and logits share one matrix (a joint vocabulary); else
            there are three, as in the paper.

    Call arguments and returns: those of `Transformer`; S and T are at most `max_length`.

    Raises:
        ValueError: see `Seq2Seq`; or another size is out of range.
    """

    def __init__(
        self,
        source_vocabulary_size: int,
        target_vocabulary_size: int,
        num_layers: int = 15,
        hidden_dim: int = 512,
        embedding_dim: int | None = None,
        kernel_size: int = 3,
        dropout: float = 0.1,
        max_length: int = 1024,
        share_embeddings: bool = False,
        **kwargs: Any,
    ):
        sizes = source_vocabulary_size, target_vocabulary_size, num_layers, hidden_dim
        super().__init__(*sizes, share_embeddings=share_embeddings, **kwargs)
        arguments.check_sizes(kernel_size=kernel_size, max_length=max_length)
        arguments.check_optional_sizes(embedding_dim=embedding_dim)
        arguments.check_rates(dropout=dropout)
        self.embedding_dim = embedding_dim
        self.kernel_size = kernel_size
        self.dropout = dropout
        self.max_length = max_length

        policy = self.dtype_policy
        stack = {
            "num_layers": num_layers,
            "hidden_dim": hidden_dim,
            "kernel_size": kernel_size,
            "dropout": dropout,
            "dtype": policy,
        }
        self.encoder = layers.ConvEncoder(**stack, name="encoder")
        self.decoder = layers.ConvDecoder(**stack, name="decoder")
        self._make_embeddings(self._embedding)
        if not share_embeddings:
            # The product itself in float32: a cast behind it would keep the steps of half precision.
            self.logits_dense = linear(target_vocabulary_size, dropout, dtype="float32", name="logits")
        self.source_positions = self._positions("source_positions")
        self.target_positions = self._positions("target_positions")
        self.dropout_layer = keras.layers.Dropout(dropout, dtype=policy)

    # Section 3.5: all embeddings begin with deviation 0.1; and nothing scales them.

    def _embedding(self, vocabulary_size, name):
        return layers.TokenEmbedding(
            vocabulary_size,
            self._embedding_dim,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=0.1),
            scale=1.0,
            dtype=self.dtype_policy,
            name=name,
        )

    def _positions(self, name):
        return layers.LearnedPositionalEncoding(
            self.max_length,
            initializer=keras.initializers.RandomNormal(stddev=0.1),
            dtype=self.dtype_policy,
            name=name,
        )

    @property
    def _embedding_dim(self):
        return self.hidden_dim if self.embedding_dim is None else self.embedding_dim

    def build(self, input_shape: Any = None) -> None:
        width = (None, None, self._embedding_dim)
        self.target_embedding.build((None, None))
        self.source_embedding.build((None, None))
        self.source_positions.build(width)
        self.target_positions.build(width)
        self.encoder.build(width)
        self.decoder.build(width)
        if not self.share_embeddings:
            self.logits_dense.build(width)

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        check_inputs(inputs, "source_ids", "target_ids")
        source_ids = inputs["source_ids"]
        memory = self.encode(source_ids, training=training)
        memory_mask = masks.padding_mask(source_ids)
        return self.decode(inputs["target_ids"], memory, memory_mask, training=training)

    def encode(self, source_ids: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        """Source ids (B, S) -> memory {"key": z, "value": (z + e) sqrt(0.5)}, (B, S, F) each."""
        embedded = self.source_positions(self.source_embedding(source_ids))
        embedded = self.dropout_layer(embedded, training=training)
        mask = masks.padding_mask(source_ids)
        key = self.encoder(embedded, hidden_mask=mask, training=training)
        if training:
            key = scale_gradient(key, 1.0 / (2 * self.num_layers))
        return {"key": key, "value": (key + embedded) * SQRT_HALF}

    def decode(
        self, target_ids: Tensor, memory: dict[str, Tensor], memory_mask: Tensor, training: bool | None = None
    ) -> Tensor:
        """Target ids (B, T), memory of `encode` and its mask (B, S) -> logits, float32, (B, T, V)."""
        embedded = self._embedded_target(target_ids, training)
        # No mask on the target: its padding comes last, and the decoder's convolutions look back.
        hidden = self.decoder(embedded, **memory, key_mask=memory_mask, training=training)
        return self._logits(self.dropout_layer(hidden, training=training))

    def _embedded_target(self, target_ids, training):
        embedded = self.target_positions(self.target_embedding(target_ids))
        return self.dropout_layer(embedded, training=training)

    def _attention_weights(self, inputs):
        # "cross", of one head in each layer.
        check_inputs(inputs, "source_ids", "target_ids")
        memory = self.encode(inputs["source_ids"], training=False)
        embedded = self._embedded_target(inputs["target_ids"], training=False)
        mask = masks.padding_mask(inputs["source_ids"])
        return {"cross": self.decoder.attend(embedded, **memory, key_mask=mask)[1][:, :, None]}

    def _logits(self, hidden):
        if self.share_embeddings:
            return self.target_embedding(hidden, reverse=True)
        return self.logits_dense(hidden)

    def initial_state(self, inputs: Mapping[str, Tensor], max_length: int) -> Tree:
        """See `AutoregressiveModel`; `inputs` is {"source_ids": (B, S)}."""
        self._check_length(max_length)
        if not self.built:  # it was never called
            self.build()
        source_ids = inputs["source_ids"]
        memory = self.encode(source_ids, training=False)
        return self.decoder.initial_state(**memory, key_mask=masks.padding_mask(source_ids))

    def grow(self, target_state: Tree, max_length: int) -> Tree:
        """See `AutoregressiveModel`: the state has no length, but the positions have an end."""
        self._check_length(max_length)
        return target_state

    def decode_step(self, token_ids: Tensor, state: Tree, index: int | Tensor) -> tuple[Tensor, Tree]:
        """See `AutoregressiveModel`."""
        embedded = self.target_embedding(ops.expand_dims(token_ids, 1))
        embedded = self.target_positions(embedded, start_index=index)
        hidden, state = self.decoder.step(embedded, state)
        return self._logits(hidden[:, 0]), state

    def attention(self, state: Tree) -> Tensor:
        """See `AutoregressiveModel`; one head."""
        return ops.stack(state["attention"], axis=1)


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """x, bit for bit; its gradient is multiplied by `factor`."""
    constant = ops.stop_gradient(x)
    return constant + factor * (x - constant)
