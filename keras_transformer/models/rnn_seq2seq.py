"""Recurrent encoder-decoder, with and without attention (Bahdanau et al. 2015; Luong et al. 2015)."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import keras
from keras import ops

from keras_transformer import arguments, layers, masks
from keras_transformer.layers.attention_scores import SCORES
from keras_transformer.models.base import check_inputs
from keras_transformer.models.seq2seq import Seq2Seq
from keras_transformer.types import Tensor, Tree


@keras.saving.register_keras_serializable(package="keras_transformer")
class RNNSeq2Seq(Seq2Seq):
    """Recurrent translation model: the decoder attends to what a bidirectional encoder read.

    The layout is Luong et al.'s for all scores: see `layers.RecurrentDecoder`. Each layer of the decoder
    begins with the final states of the encoder's layer of the same number, unchanged, as in Luong et al.
    and Sutskever et al. 2014; both stacks have the same widths, and it takes no weights. (Bahdanau et al.
    begin with tanh(W_s h_1), h_1 the backward direction's.) The attentional vector has the embedding's
    width, so that logits come from the target embedding's matrix, as in `Transformer`.

    attention="none" is the model that attention was invented for: the encoder reads in one direction and
    all that the decoder knows is its final state (Sutskever et al. 2014, Cho et al. 2014). It initialises
    the decoder, and takes the place of the context at every step (Cho et al. 2014, section 2.2), so
    that the rest of the decoder stays as it is. `attention` then gives zeros.

    Args:
        source_vocabulary_size: number of source ids, special ids included.
        target_vocabulary_size: V, number of target ids, special ids included.
        num_layers: of the encoder and of the decoder, >= 1.
        hidden_dim: D, width of every recurrent layer's output; even, unless attention="none".
        embedding_dim: E, of both embeddings; `hidden_dim` if None.
        cell: "gru" or "lstm".
        attention: "additive" (Bahdanau et al.), "dot", "general", "concat" (Luong et al., section 3.1),
            "scaled_dot", "scaled_general" (divided by sqrt(D): the better choice with Adam and a wide D,
            see `layers.DotScore`), or "none".
        window: D_w, source tokens to each side that local attention sees, >= 1 (Luong et al., section 3.2,
            local-p; the paper's is 10); None for global attention.
        reverse_source: whether the encoder reads the source's real tokens last to first (Sutskever et al.
            2014, section 3.3); for attention="none". A bidirectional encoder reads both ways already.
        dropout: probability of dropping one value of an embedding, between two layers, or of the
            attentional vector before the logits; not between steps (Zaremba et al. 2014).
        share_embeddings: whether source, target and logits share one matrix (a joint vocabulary); else
            target and logits share one, and the source has its own.

    Call arguments and returns: those of `Transformer`.

    Raises:
        ValueError: a size or name is out of range, vocabularies of two sizes are to share embeddings, or
            `reverse_source` or `window` is given where it would change nothing.
    """

    def __init__(
        self,
        source_vocabulary_size: int,
        target_vocabulary_size: int,
        num_layers: int = 1,
        hidden_dim: int = 512,
        embedding_dim: int | None = None,
        cell: Literal["gru", "lstm"] = "gru",
        attention: Literal[
            "additive", "dot", "general", "concat", "scaled_dot", "scaled_general", "none"
        ] = "additive",
        window: int | None = None,
        reverse_source: bool = False,
        dropout: float = 0.1,
        share_embeddings: bool = False,
        **kwargs: Any,
    ):
        sizes = source_vocabulary_size, target_vocabulary_size, num_layers, hidden_dim
        super().__init__(*sizes, share_embeddings=share_embeddings, **kwargs)
        if attention not in (*SCORES, "none"):
            raise ValueError(
                f"`attention` must be one of {[*SCORES, 'none']}. Received: attention={attention!r}."
            )
        if reverse_source and attention != "none":
            raise ValueError(
                "`reverse_source` needs attention='none': with attention, the encoder reads both ways. "
                f"Received: attention={attention!r}."
            )
        if window is not None and attention == "none":
            raise ValueError(f"`window` must be None where attention='none'. Received: window={window}.")
        arguments.check_optional_sizes(embedding_dim=embedding_dim, window=window)
        arguments.check_rates(dropout=dropout)
        self.embedding_dim = embedding_dim
        self.cell = cell
        self.attention_name = attention  # `attention` is what every model of the zoo calls its method
        self.window = window
        self.reverse_source = reverse_source
        self.dropout = dropout

        policy = self.dtype_policy
        stack = {"cell": cell, "dropout": dropout, "dtype": policy}
        self.encoder = layers.RecurrentEncoder(
            num_layers, hidden_dim, bidirectional=attention != "none", name="encoder", **stack
        )
        if attention == "none":
            attend = layers.FinalState(dtype=policy, name="final_state")
        else:
            score = SCORES[attention](dtype=policy, name="score")
            attend = layers.RecurrentAttention(score, window, dtype=policy, name="attention")
        width = hidden_dim if embedding_dim is None else embedding_dim
        self._make_embeddings(partial(layers.TokenEmbedding, hidden_dim=width, dtype=policy))
        self.decoder = layers.RecurrentDecoder(num_layers, hidden_dim, width, attend, name="decoder", **stack)
        self.embedding_dropout = keras.layers.Dropout(dropout, dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        embedded = (None, None, self.target_embedding.hidden_dim)
        self.target_embedding.build((None, None))
        self.source_embedding.build((None, None))
        self.encoder.build(embedded)
        self.decoder.build(embedded, (None, None, self.hidden_dim))

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        check_inputs(inputs, "source_ids", "target_ids")
        state = self.encode(inputs["source_ids"], training=training)
        return self.decode(inputs["target_ids"], state, training=training)

    def encode(self, source_ids: Tensor, training: bool | None = None) -> Tree:
        """Source ids (B, S) -> the state before the first step, see `AutoregressiveModel`."""
        mask = masks.padding_mask(source_ids)
        if self.reverse_source:
            source_ids = reverse_real(source_ids, mask)
        hidden = self.embedding_dropout(self.source_embedding(source_ids), training=training)
        memory, states = self.encoder.encode(hidden, mask, training=training)
        return self.decoder.initial_state(memory, states, mask)

    def decode(self, target_ids: Tensor, state: Tree, training: bool | None = None) -> Tensor:
        """Target ids (B, T) and what `encode` returned -> logits, float32, (B, T, V)."""
        # No padding mask on the target: its padding comes last, and a step knows only those before it.
        hidden = self.embedding_dropout(self.target_embedding(target_ids), training=training)
        vectors = self.decoder.decode(hidden, state, training=training)
        vectors = self.embedding_dropout(vectors, training=training)
        return self.target_embedding(vectors, reverse=True)

    def initial_state(self, inputs: Mapping[str, Tensor], max_length: int) -> Tree:
        """See `AutoregressiveModel`; `inputs` is {"source_ids": (B, S)}. A recurrent state has no length."""
        if not self.built:  # it was never called
            self.build()
        return self.encode(inputs["source_ids"], training=False)

    def decode_step(self, token_ids: Tensor, state: Tree, index: int | Tensor) -> tuple[Tensor, Tree]:
        """See `AutoregressiveModel`."""
        projected = self.decoder.project(self.target_embedding(token_ids))
        vector, state = self.decoder.step(projected, state)
        return self.target_embedding(vector, reverse=True), state

    def attention(self, state: Tree) -> Tensor:
        """See `AutoregressiveModel`: (R, 1, 1, S); zeros where the model has no attention."""
        return state["attention"][:, None, None, :]

    def _attention_weights(self, inputs):
        # "cross", of one layer and head.
        check_inputs(inputs, "source_ids", "target_ids")
        if self.attention_name == "none":
            raise ValueError("`attention_weights` is for models with attention. Received: attention='none'.")
        state = self.encode(inputs["source_ids"], training=False)
        _, weights = self.decoder.attend(self.target_embedding(inputs["target_ids"]), state)
        return {"cross": weights[:, None, None]}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "attention": self.attention_name}


def reverse_real(ids: Tensor, mask: Tensor) -> Tensor:
    """Ids (B, S) with each row's real tokens last to first; padding, which comes last, stays there."""
    positions = ops.arange(ops.shape(ids)[1])
    lengths = ops.sum(ops.cast(mask, positions.dtype), axis=1, keepdims=True)
    order = ops.where(positions < lengths, lengths - 1 - positions, positions)
    return ops.take_along_axis(ids, order, axis=1)
