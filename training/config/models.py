"""What each kind of model can be told: its sizes, under the names of its constructor.

`kind` is the name by which a configuration file asks for the model.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class TransformerConfig:
    """The Transformer's sizes; the paper's symbols in brackets.

    Args:
        kind: this model.
        num_layers: layers of the encoder and of the decoder [N].
        hidden_dim: width of every layer [d_model], a multiple of num_heads.
        num_heads: attention heads [h].
        intermediate_dim: width inside the feed-forward networks [d_ff].
        key_dim: width of one head [d_k]; hidden_dim / num_heads if None.
        dropout: probability of dropping a value of a sub-layer's output or an embedding [P_drop].
        attention_dropout: probability of dropping an attention weight.
        activation: of the feed-forward networks.
        norm_first: whether sub-layers normalise their input; else the sum, as in the paper.
        share_embeddings: whether source, target and logits share one matrix; None: where the
            vocabulary is joint.
    """

    kind: Literal["transformer"] = "transformer"
    num_layers: int = 6
    hidden_dim: int = 512
    num_heads: int = 8
    intermediate_dim: int = 2048
    key_dim: int | None = None
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation: str = "relu"
    norm_first: bool = False
    share_embeddings: bool | None = None


@dataclass(frozen=True)
class RNNSeq2SeqConfig:
    """The recurrent encoder-decoder's sizes.

    Args:
        kind: this model.
        num_layers: layers of the encoder and of the decoder.
        hidden_dim: width of every recurrent layer's output; even, unless attention is none.
        embedding_dim: width of the embeddings; hidden_dim if None.
        cell: gru or lstm.
        attention: additive (Bahdanau et al. 2015), dot, general, concat (Luong et al. 2015), scaled_dot,
            scaled_general (the same divided by the square root of the width), or none.
        window: source tokens to each side that local attention sees (Luong et al. 2015, local-p: 10); None
            for global attention.
        reverse_source: whether the source is read last to first; for attention none.
        dropout: probability of dropping a value of an embedding, between layers, and before the logits.
        share_embeddings: whether source, target and logits share one matrix; None: where the
            vocabulary is joint.
    """

    kind: Literal["rnn_seq2seq"] = "rnn_seq2seq"
    num_layers: int = 1
    hidden_dim: int = 512
    embedding_dim: int | None = None
    cell: Literal["gru", "lstm"] = "gru"
    attention: Literal["additive", "dot", "general", "concat", "scaled_dot", "scaled_general", "none"] = (
        "additive"
    )
    window: int | None = None
    reverse_source: bool = False
    dropout: float = 0.1
    share_embeddings: bool | None = None


@dataclass(frozen=True)
class ConvSeq2SeqConfig:
    """The convolutional encoder-decoder's sizes.

    Args:
        kind: this model.
        num_layers: layers of the encoder and of the decoder.
        hidden_dim: width of the convolutions.
        embedding_dim: width of the embeddings and of the attention; hidden_dim if None.
        kernel_size: positions that one convolution sees.
        dropout: probability of dropping a value of an embedding, of a convolution's input, or before the
            logits.
        max_length: number of learned positions, at least data.max_length, which it is if None.
        share_embeddings: whether source, target and logits share one matrix; None: where the
            vocabulary is joint.
    """

    kind: Literal["conv_seq2seq"] = "conv_seq2seq"
    num_layers: int = 15
    hidden_dim: int = 512
    embedding_dim: int | None = None
    kernel_size: int = 3
    dropout: float = 0.1
    max_length: int | None = None
    share_embeddings: bool | None = None


@dataclass(frozen=True)
class CausalLMConfig:
    """The language model's sizes; those of GPT-2's smallest by default.

    Args:
        kind: this model.
        num_layers: layers.
        hidden_dim: width of every layer, a multiple of num_heads.
        num_heads: attention heads.
        intermediate_dim: width inside the feed-forward networks.
        dropout: probability of dropping a value of a sub-layer's output or an embedding.
        attention_dropout: probability of dropping an attention weight.
        activation: of the feed-forward networks.
        norm_first: whether sub-layers normalise their input; else the sum.
        max_length: number of learned positions; None for the sinusoid, which has no limit.
        tie_embeddings: whether tokens and logits share one matrix.
    """

    kind: Literal["causal_lm"] = "causal_lm"
    num_layers: int = 12
    hidden_dim: int = 768
    num_heads: int = 12
    intermediate_dim: int = 3072
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: str = "gelu"
    norm_first: bool = True
    max_length: int | None = None
    tie_embeddings: bool = True


@dataclass(frozen=True)
class MaskedLMConfig:
    """The masked language model's sizes, and what is hidden from it.

    Args:
        kind: this model.
        num_layers: layers.
        hidden_dim: width of every layer, a multiple of num_heads.
        num_heads: attention heads.
        intermediate_dim: width inside the feed-forward networks.
        dropout: probability of dropping a value of a sub-layer's output or an embedding.
        norm_first: whether sub-layers normalise their input, with a final norm, and not their output.
        masked: share of the tokens that are hidden.
    """

    kind: Literal["masked_lm"] = "masked_lm"
    num_layers: int = 12
    hidden_dim: int = 768
    num_heads: int = 12
    intermediate_dim: int = 3072
    dropout: float = 0.1
    norm_first: bool = False
    masked: float = 0.15


@dataclass(frozen=True)
class ImageCaptionerConfig:
    """The captioner's sizes.

    Args:
        kind: this model.
        decoder: gru (Xu et al. 2015) or transformer.
        num_layers: layers of the decoder.
        hidden_dim: width of the memory, the embedding and the decoder.
        num_heads: attention heads of the Transformer decoder, 4 if None; a GRU has none.
        intermediate_dim: width inside its feed-forward networks, 4 hidden_dim if None; a GRU has none.
        filters: channels of the blocks that read the image; height and width are halved between blocks.
        dropout: probability of dropping a value of the memory, an embedding, or a sub-layer's output.
    """

    kind: Literal["image_captioner"] = "image_captioner"
    decoder: Literal["gru", "transformer"] = "transformer"
    num_layers: int = 2
    hidden_dim: int = 128
    num_heads: int | None = None
    intermediate_dim: int | None = None
    filters: list[int] = field(default_factory=lambda: [16, 32, 64, 64])
    dropout: float = 0.1


@dataclass(frozen=True)
class AttentionCNNConfig:
    """The image classifier's sizes.

    Args:
        kind: this model.
        filters: channels of the blocks; height and width are halved between blocks.
        attention: whether positions of the grid attend to each other.
        dropout: probability of dropping a value before the last layer.
    """

    kind: Literal["attention_cnn"] = "attention_cnn"
    filters: list[int] = field(default_factory=lambda: [32, 64, 64])
    attention: bool = True
    dropout: float = 0.2
