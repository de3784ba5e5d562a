"""Configuration of a Transformer's layers: the fields of `keras_transformer.layers.LayerConfig`."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class TransformerLayersConfig:
    """The layers of a Transformer; the paper's symbols in brackets.

    Args:
        num_heads: attention heads [h].
        intermediate_dim: width inside the feed-forward networks [d_ff].
        key_dim: width of one head [d_k]; hidden_dim / num_heads if None.
        num_key_value_heads: heads of keys and values, of which num_heads is a multiple; num_heads if None.
        positions: none, sinusoid, learned, rotary, alibi, relative_bias or relative_keys_values, or a mapping
            of name and options, {name: rotary, layout: halves}; None for the
            model's own.
        sliding_window: tokens that self-attention sees to each side, itself included; None for all.
        qk_norm: norm of each head's queries and keys; None for neither.
        use_bias: whether the maps of attention and feed-forward networks add a bias.
        activation: of the feed-forward networks; with a gate: swiglu, geglu, geglu_tanh, reglu, glu,
            bilinear.
        normalization: layer_norm or rms_norm.
        norm_first: whether sub-layers normalise their input; else the sum.
        final_norm: whether a norm follows the last layer of a stack; norm_first if None.
        norm_epsilon: added to the variance.
        dropout: probability of dropping a value of a sub-layer's output or an embedding [P_drop].
        attention_dropout: probability of dropping an attention weight.
        activation_dropout: probability of dropping an inner value of a feed-forward network.
    """

    num_heads: int = 8
    intermediate_dim: int = 2048
    key_dim: int | None = None
    num_key_value_heads: int | None = None
    positions: str | dict[str, Any] | None = None
    sliding_window: int | None = None
    qk_norm: Literal["layer_norm", "rms_norm"] | None = None
    use_bias: bool = True
    activation: str = "relu"
    normalization: Literal["layer_norm", "rms_norm"] = "layer_norm"
    norm_first: bool = False
    final_norm: bool | None = None
    norm_epsilon: float = 1e-6
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0

    @property
    def learns_positions(self) -> bool:
        """Whether `positions` asks for learned ones, of which the model then needs a number."""
        name = self.positions.get("name") if isinstance(self.positions, dict) else self.positions
        return name == "learned"


@dataclass(frozen=True)
class TextStackConfig(TransformerLayersConfig):
    """A stack of the size of GPT-2's smallest, which is BERT-base's, too.

    Args:
        num_layers: layers.
        hidden_dim: width of every layer, a multiple of num_heads unless key_dim is given.
    """

    num_layers: int = 12
    hidden_dim: int = 768
    num_heads: int = 12
    intermediate_dim: int = 3072
    attention_dropout: float = 0.1
    activation: str = "gelu"


@dataclass(frozen=True)
class TextEncoderConfig(TextStackConfig):
    """BERT's encoder; what a training makes is for one text at a time.

    Args:
        max_length: positions that have a vector, where they are learned; as many as the data asks for if
            None.
        num_segments: number of segment ids, of which a training uses the first.
        embedding_scale: factor on the vectors of ids; the square root of hidden_dim if None, 1 in the paper.
    """

    max_length: int | None = None
    num_segments: int = 1
    embedding_scale: float | None = None


def text_encoder(vocabulary_size: int, length: int, *, max_length: int | None = None, **options: Any) -> Any:
    """A `layers.TextEncoder`.

    Args:
        vocabulary_size: number of ids.
        length: tokens that it is to read.
        max_length: positions, where they are learned; `length` if None.
        **options: the other fields of a `TextEncoderConfig`.

    Raises:
        ValueError: there are fewer positions than tokens.
    """
    from keras_transformer import layers
    from keras_transformer.layers.position_kinds import named

    if max_length is not None and max_length < length:
        raise ValueError(
            f"`model.max_length` must be at least the {length} tokens that the data asks for. "
            f"Received: model.max_length={max_length}."
        )
    is_learned = named(options.get("positions"), "learned")[0] == "learned"
    return layers.TextEncoder(
        vocabulary_size,
        max_length=(max_length or length) if is_learned else None,
        name="encoder",  # else Keras counts on, and another run's weights have other names
        **options,
    )
