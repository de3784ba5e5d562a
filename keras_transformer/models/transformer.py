"""The Transformer (Vaswani et al. 2017, "Attention Is All You Need")."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Self, Unpack

import keras
from keras import ops

from keras_transformer import arguments, layers, masks
from keras_transformer.layers.layer_config import LayerFields, TakesLayerConfig
from keras_transformer.layers.position_kinds import encoded, input_encoding
from keras_transformer.models.base import check_inputs
from keras_transformer.models.seq2seq import Seq2Seq
from keras_transformer.special_ids import END_ID
from keras_transformer.types import Tensor, Tree


@keras.saving.register_keras_serializable(package="keras_transformer")
class Transformer(TakesLayerConfig, Seq2Seq):
    """Encoder-decoder for translation: figure 1 of the paper.

    Paper symbols: N = num_layers, d_model = hidden_dim, h = num_heads, d_ff = intermediate_dim,
    d_k = d_v = key_dim, P_drop = dropout.

    Args:
        source_vocabulary_size: number of source ids, special ids included.
        target_vocabulary_size: V, number of target ids, special ids included.
        num_layers: N, of the encoder, and of the decoder unless `num_decoder_layers` is given, >= 1.
        hidden_dim: D, width of every layer's input and output.
        num_heads: H, 8 if None.
        intermediate_dim: width inside the feed-forward networks, 2,048 if None.
        key_dim: width of one head; hidden_dim / num_heads if None.
        share_embeddings: whether source, target and logits share one matrix (section 3.4, a joint
            vocabulary); else target and logits share one, and the source has its own. See `tie_logits`.
        num_decoder_layers: of the decoder, >= 1; `num_layers` if None. A shallow one decodes faster (Kasai et
            al. 2021, "Deep Encoder, Shallow Decoder").
        max_length: number of learned positions; None for others, by default the sinusoid of section 3.5,
            which has no limit.
        embedding_scale: factor on the vectors of ids; sqrt(hidden_dim), as in the paper, if None.
        use_logits_bias: whether a bias for each id is added to the logits, as in Marian; the paper has none.
        logits_scale: factor on the decoder's output before it becomes logits: hidden_dim ** -0.5 in the T5 of
            2020; None for none, as in the paper.
        tie_logits: whether the logits' matrix is that of the target's embedding, as in the paper; else they
            have one of their own, as in T5 1.1.
        reads_source_end: whether the source's end token is read; else it is like padding, for models that
            were trained without one, as OpenNMT-tf's are by default.
        config: a whole `layers.LayerConfig`, of both stacks, in place of its fields.
        **fields: the others of `layers.LayerConfig`; `dropout` (0.1) also drops values of an embedding.

    Call arguments:
        inputs: {"source_ids": (B, S), "target_ids": (B, T)}, integers padded with 0. The target starts
            with the start token and is what the model has seen when it predicts the label.
        training: whether dropout is active.

    Returns:
        Logits, float32, (B, T, V): row t predicts the token after target t.

    Raises:
        ValueError: a size is out of range, `hidden_dim` is not a multiple of `num_heads` while
            `key_dim` is None, or vocabularies of two sizes are to share embeddings.
    """

    # Table 3, rows "base" and "big"; tiny as in Wu et al. 2021 for small data.
    presets = {
        "transformer_tiny": dict(
            num_layers=4, hidden_dim=128, num_heads=4, intermediate_dim=256, dropout=0.3
        ),
        "transformer_base": dict(
            num_layers=6, hidden_dim=512, num_heads=8, intermediate_dim=2048, dropout=0.1
        ),
        "transformer_big": dict(
            num_layers=6, hidden_dim=1024, num_heads=16, intermediate_dim=4096, dropout=0.3
        ),
    }

    layer_defaults = {"num_heads": 8, "intermediate_dim": 2048, "dropout": 0.1}

    def __init__(
        self,
        source_vocabulary_size: int,
        target_vocabulary_size: int,
        num_layers: int = 6,
        hidden_dim: int = 512,
        num_heads: int | None = None,
        intermediate_dim: int | None = None,
        key_dim: int | None = None,
        *,
        share_embeddings: bool = False,
        num_decoder_layers: int | None = None,
        max_length: int | None = None,
        embedding_scale: float | None = None,
        use_logits_bias: bool = False,
        logits_scale: float | None = None,
        tie_logits: bool = True,
        reads_source_end: bool = True,
        config: layers.LayerConfig | None = None,
        **fields: Unpack[LayerFields],
    ):
        super().__init__(
            source_vocabulary_size=source_vocabulary_size,
            target_vocabulary_size=target_vocabulary_size,
            num_layers=num_layers,
            hidden_dim=hidden_dim,
            share_embeddings=share_embeddings,
            num_heads=num_heads,
            intermediate_dim=intermediate_dim,
            key_dim=key_dim,
            config=config,
            **fields,
        )
        arguments.check_optional_sizes(num_decoder_layers=num_decoder_layers, max_length=max_length)
        arguments.check_heads(hidden_dim, self.num_heads, self.key_dim)
        self.num_decoder_layers = num_layers if num_decoder_layers is None else num_decoder_layers
        self.max_length = max_length
        self.embedding_scale = embedding_scale
        self.use_logits_bias = use_logits_bias
        self.logits_scale = logits_scale
        self.tie_logits = tie_logits
        self.reads_source_end = reads_source_end

        policy = self.dtype_policy
        embedding = partial(layers.TokenEmbedding, hidden_dim=hidden_dim, scale=embedding_scale, dtype=policy)
        self._make_embeddings(
            embedding, use_logits_bias=use_logits_bias, logits_scale=logits_scale, tie_weights=tie_logits
        )
        self.source_positions, self.target_positions = (
            input_encoding(self.config.positions, max_length, dtype=policy, name=name)
            for name in ("source_positions", "target_positions")
        )
        self.embedding_dropout = keras.layers.Dropout(self.dropout, dtype=policy)
        self.encoder = layers.Encoder(num_layers, config=self.config, dtype=policy, name="encoder")
        self.decoder = layers.Decoder(
            self.num_decoder_layers, config=self.config, dtype=policy, name="decoder"
        )

    @classmethod
    def from_preset(
        cls, name: str, source_vocabulary_size: int, target_vocabulary_size: int, **overrides: Any
    ) -> Self:
        """Builds one of the published sizes; embeddings are shared, as in the paper.

        Args:
            name: a key of `Transformer.presets`.
            source_vocabulary_size, target_vocabulary_size: equal, unless share_embeddings=False.
            **overrides: any other constructor argument.

        Raises:
            ValueError: there is no such preset.
        """
        if name not in cls.presets:
            raise ValueError(f"`name` must be one of {sorted(cls.presets)}. Received: name={name!r}.")
        sizes = {"share_embeddings": True, **cls.presets[name], **overrides}
        return cls(source_vocabulary_size, target_vocabulary_size, **sizes)

    def build(self, input_shape: Any = None) -> None:
        width = (None, None, self.hidden_dim)
        self.target_embedding.build((None, None))
        if not self.share_embeddings:
            self.source_embedding.build((None, None))
        for positions in (self.source_positions, self.target_positions):
            if positions is not None:
                positions.build(width)
        self.encoder.build(width)
        self.decoder.build(width, width)

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        check_inputs(inputs, "source_ids", "target_ids")
        source_ids = inputs["source_ids"]
        memory = self.encode(source_ids, training=training)
        memory_mask = self._source_mask(source_ids)
        return self.decode(inputs["target_ids"], memory, memory_mask, training=training)

    def _source_mask(self, source_ids):
        """What of the source is attended to, bool, (B, S)."""
        mask = masks.padding_mask(source_ids)
        return mask if self.reads_source_end else ops.logical_and(mask, ops.not_equal(source_ids, END_ID))

    def encode(self, source_ids: Tensor, training: bool | None = None) -> Tensor:
        """Source ids (B, S) -> memory (B, S, D)."""
        hidden = self._embedded_source(source_ids, training)
        return self.encoder(hidden, hidden_mask=self._source_mask(source_ids), training=training)

    def decode(
        self, target_ids: Tensor, memory: Tensor, memory_mask: Tensor, training: bool | None = None
    ) -> Tensor:
        """Target ids (B, T), memory (B, S, D) and its mask (B, S) -> logits, float32, (B, T, V)."""
        hidden = self._embedded_target(target_ids, training)
        # No padding mask on the target: its padding comes last, where causality hides it already.
        hidden = self.decoder(hidden, memory, memory_mask=memory_mask, training=training)
        return self.target_embedding(hidden, reverse=True)

    def _embedded_source(self, source_ids, training):
        hidden = encoded(self.source_positions, self.source_embedding(source_ids))
        return self.embedding_dropout(hidden, training=training)

    def _embedded_target(self, target_ids, training):
        hidden = encoded(self.target_positions, self.target_embedding(target_ids))
        return self.embedding_dropout(hidden, training=training)

    def _attention_weights(self, inputs):
        # "encoder", "decoder" and "cross".
        check_inputs(inputs, "source_ids", "target_ids")
        mask = self._source_mask(inputs["source_ids"])
        source = self._embedded_source(inputs["source_ids"], training=False)
        memory, encoder = self.encoder.attend(source, mask)
        target = self._embedded_target(inputs["target_ids"], training=False)
        _, decoder, cross = self.decoder.attend(target, memory, memory_mask=mask)
        return {"encoder": encoder, "decoder": decoder, "cross": cross}

    def initial_state(self, inputs: Mapping[str, Tensor], max_length: int) -> Tree:
        """See `AutoregressiveModel`; `inputs` is {"source_ids": (B, S)}."""
        self._check_length(max_length)
        if not self.built:  # it was never called
            self.build()
        source_ids = inputs["source_ids"]
        memory = self.encode(source_ids, training=False)
        return self.decoder.initial_state(memory, max_length, self._source_mask(source_ids))

    def grow(self, target_state: Tree, max_length: int) -> Tree:
        """See `AutoregressiveModel`."""
        self._check_length(max_length)
        return self.decoder.grow(target_state, max_length)

    def decode_step(self, token_ids: Tensor, state: Tree, index: int | Tensor) -> tuple[Tensor, Tree]:
        """See `AutoregressiveModel`."""
        hidden = self.target_embedding(ops.expand_dims(token_ids, 1))
        hidden = encoded(self.target_positions, hidden, index)
        hidden, state = self.decoder.step(hidden, state, index)
        return self.target_embedding(hidden[:, 0], reverse=True), state

    def attention(self, state: Tree) -> Tensor:
        """See `AutoregressiveModel`."""
        return ops.stack(state["attention"], axis=1)
