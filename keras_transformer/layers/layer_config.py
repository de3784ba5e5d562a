"""The description of a Transformer's layer, which layers, stacks and models take and hand on."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypedDict

import keras

from keras_transformer import arguments
from keras_transformer.layers import position_kinds
from keras_transformer.layers.feed_forward import GATED
from keras_transformer.layers.normalization import NORMS


@dataclass(frozen=True, kw_only=True)
class LayerConfig:
    """What all layers of a stack, or of a model's stacks, have in common. The defaults are the 2017 paper's.

    Args:
        num_heads: H [h], >= 1.
        intermediate_dim: width inside the feed-forward network [d_ff], >= 1.
        key_dim: K, width of one head [d_k = d_v]; the layer's width D divided by `num_heads` if None.
        num_key_value_heads: G, heads of keys and values, each for H / G heads of queries: grouped-query
            attention (Ainslie et al. 2023), multi-query for 1 (Shazeer 2019); H if None.
        positions: how positions are told, by a name of `position_kinds`, or {"name": ..., option: ...}. None:
            a model adds learned ones if it has `max_length`, else the sinusoid; a layer or a stack has none.
        sliding_window: self-attention sees positions at most `sliding_window - 1` away; None for all.
        qk_norm: "layer_norm" or "rms_norm" of each head's queries and keys (Dehghani et al. 2023); None for
            neither.
        use_bias: whether the maps of attention and of the feed-forward network add a bias.
        activation: of the feed-forward network; the paper's is "relu". A name of a gated network makes it
            one: "swiglu", "geglu", "reglu", "glu", "bilinear" or "geglu_tanh" (Shazeer 2020).
        normalization: "layer_norm", or "rms_norm" (Zhang and Sennrich 2019).
        norm_first: whether each sub-layer normalises its input (Xiong et al. 2020); else the sum, as in the
            paper.
        final_norm: whether a norm follows the last layer of a stack; `norm_first` if None. PyTorch's
            `nn.Transformer` has one in any case.
        norm_epsilon: added to the variance.
        dropout: probability of dropping one value of a sub-layer's output [P_drop], 0 <= p < 1.
        attention_dropout: probability of dropping one attention weight, 0 <= p < 1.
        activation_dropout: probability of dropping one inner value of the feed-forward network, behind its
            activation, 0 <= p < 1.

    Raises:
        ValueError: a value is out of range, or there is none of this name.
    """

    num_heads: int
    intermediate_dim: int
    key_dim: int | None = None
    num_key_value_heads: int | None = None
    positions: position_kinds.Positions = None
    sliding_window: int | None = None
    qk_norm: str | None = None
    use_bias: bool = True
    activation: Any = "relu"
    normalization: str = "layer_norm"
    norm_first: bool = False
    final_norm: bool | None = None
    norm_epsilon: float = 1e-6
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0

    def __post_init__(self):
        arguments.check_sizes(num_heads=self.num_heads, intermediate_dim=self.intermediate_dim)
        arguments.check_optional_sizes(
            key_dim=self.key_dim,
            num_key_value_heads=self.num_key_value_heads,
            sliding_window=self.sliding_window,
        )
        if self.num_key_value_heads is not None and self.num_heads % self.num_key_value_heads:
            raise ValueError(
                "`num_heads` must be a multiple of `num_key_value_heads`. "
                f"Received: num_heads={self.num_heads}, num_key_value_heads={self.num_key_value_heads}."
            )
        arguments.check_rates(
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            activation_dropout=self.activation_dropout,
        )
        arguments.check_positive(norm_epsilon=self.norm_epsilon)
        arguments.check_choices(NORMS, normalization=self.normalization)
        arguments.check_choices((None, *NORMS), qk_norm=self.qk_norm)
        position_kinds.check(self.positions, self.num_heads)
        if not self.is_gated:
            object.__setattr__(self, "activation", keras.activations.get(self.activation))

    @property
    def has_final_norm(self) -> bool:
        """Whether a stack of such layers ends with a norm."""
        return self.norm_first if self.final_norm is None else self.final_norm

    @property
    def is_gated(self) -> bool:
        """Whether the feed-forward network has a gate."""
        return isinstance(self.activation, str) and self.activation in GATED

    def get_config(self) -> dict[str, Any]:
        """The fields, as JSON has them."""
        config = {name: getattr(self, name) for name in FIELDS}
        if not self.is_gated:
            config["activation"] = keras.activations.serialize(self.activation)
        return config


FIELDS = tuple(field.name for field in fields(LayerConfig))
# Those that layers and models also take by position.
SIZES = ("num_heads", "intermediate_dim", "key_dim")


class KerasFields(TypedDict, total=False):
    """What every layer and model of Keras takes."""

    name: str | None
    dtype: Any
    trainable: bool


class LayerFields(KerasFields, total=False):
    """The fields of `LayerConfig` but `SIZES`, for signatures: `**fields: Unpack[LayerFields]`."""

    num_key_value_heads: int | None
    positions: position_kinds.Positions
    sliding_window: int | None
    qk_norm: str | None
    use_bias: bool
    activation: Any
    normalization: str
    norm_first: bool
    final_norm: bool | None
    norm_epsilon: float
    dropout: float
    attention_dropout: float
    activation_dropout: float


def split_fields(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a `LayerConfig` among arguments, and the other arguments."""
    ours, others = ({k: v for k, v in given.items() if (k in FIELDS) is is_ours} for is_ours in (True, False))
    return ours, others


def as_config(
    config: LayerConfig | None, given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> LayerConfig:
    """The description that was given: whole, or as fields of which None of `SIZES` stands for the default.

    Raises:
        ValueError: both came, `config` is none, or a field is out of range.
    """
    given = {name: value for name, value in given.items() if value is not None or name not in SIZES}
    if config is None:
        return LayerConfig(**{**defaults, **given})
    if given or not isinstance(config, LayerConfig):
        raise ValueError(
            "`config` must be a `layers.LayerConfig`, and comes without any of its fields. "
            f"Received: config={config!r}, {', '.join(given) or 'no fields'}."
        )
    return config


class TakesLayerConfig:
    """Mixed into layers and models that are described by a `LayerConfig`: given whole, or by its fields.

    `class MyLayer(TakesLayerConfig, keras.layers.Layer)`. Each field is an attribute, and in `get_config`.
    """

    layer_defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, *, config: LayerConfig | None = None, **fields: Any):
        given, others = split_fields(fields)
        super().__init__(**others)
        self.config = as_config(config, given, self.layer_defaults)
        for name in FIELDS:
            setattr(self, name, getattr(self.config, name))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.config.get_config()}
