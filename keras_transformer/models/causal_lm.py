"""A language model: the Transformer's decoder alone (Radford et al. 2019, "GPT-2")."""

from collections.abc import Mapping
from typing import Any, NoReturn, Unpack

import keras
from keras import ops

from keras_transformer import arguments, layers
from keras_transformer.layers.layer_config import LayerFields, TakesLayerConfig
from keras_transformer.layers.position_kinds import encoded, input_encoding
from keras_transformer.models.base import AutoregressiveModel, check_inputs, id_specs
from keras_transformer.types import Tensor, Tree


@keras.saving.register_keras_serializable(package="keras_transformer")
class CausalLM(TakesLayerConfig, AutoregressiveModel):
    """Decoder-only Transformer: predicts a text's next token from the text so far.

    Radford et al. 2018, section 3.1, and 2019, section 2.3; the first of its kind is Liu et al. 2018,
    section 4.2.3. Paper symbols as for `Transformer`. Defaults are GPT-2's smallest size. Like GPT-2 it
    normalises the input of each sub-layer and the output of the stack (`norm_first`), because a deep stack
    then trains without a long warm-up, and uses GELU. Unlike GPT-2 it scales embeddings by
    sqrt(hidden_dim) and draws its weights as `Transformer` does: one scheme for the zoo; GPT-2 draws from
    N(0, 0.02), and the projections before a residual sum smaller still.

    It has no source. What `decoding.generate` takes in place of one is a batch of prompts,
    {"prompt_ids": (B, P)}: each result begins with its prompt. Rows of padding alone are for texts from the
    start.

    Args:
        vocabulary_size: V, number of ids, special ids included.
        num_layers: N, >= 1.
        hidden_dim: D, width of every layer's input and output.
        num_heads: H, 12 if None.
        intermediate_dim: width inside the feed-forward networks, 3,072 if None; 4 * hidden_dim in GPT-2.
        key_dim: width of one head; hidden_dim / num_heads if None.
        max_length: number of learned positions, of which GPT-2 has 1,024; None for others, by default the
            sinusoid, which has no limit.
        tie_embeddings: whether tokens and logits share one matrix, as in GPT-2.
        config: a whole `layers.LayerConfig` in place of its fields.
        **fields: the others of `layers.LayerConfig`; `dropout` (0.1) also drops values of an embedding. What
            stands as attribute `positions` is the layer that adds them, or None.

    Call arguments:
        inputs: {"target_ids": (B, T)}, integers padded at the end with 0. Starts with the start token, or
            with any other where texts are cut into windows.
        training: whether dropout is active.

    Returns:
        Logits, float32, (B, T, V): row t predicts the token after target t.

    Raises:
        ValueError: a size is out of range.
    """

    layer_defaults = {
        "num_heads": 12,
        "intermediate_dim": 3072,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "activation": "gelu",
        "norm_first": True,
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
        tie_embeddings: bool = True,
        config: layers.LayerConfig | None = None,
        **fields: Unpack[LayerFields],
    ):
        super().__init__(
            num_heads=num_heads, intermediate_dim=intermediate_dim, key_dim=key_dim, config=config, **fields
        )
        arguments.check_sizes(vocabulary_size=vocabulary_size, num_layers=num_layers, hidden_dim=hidden_dim)
        arguments.check_optional_sizes(max_length=max_length)
        arguments.check_heads(hidden_dim, self.num_heads, self.key_dim)
        self.vocabulary_size = vocabulary_size
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.max_length = max_length
        self.tie_embeddings = tie_embeddings

        policy, config = self.dtype_policy, self.config
        self.embedding = layers.TokenEmbedding(vocabulary_size, hidden_dim, dtype=policy, name="embedding")
        self.positions = input_encoding(config.positions, max_length, dtype=policy, name="positions")
        self.embedding_dropout = keras.layers.Dropout(self.dropout, dtype=policy)
        self.decoder = layers.Encoder(num_layers, causal=True, config=config, dtype=policy, name="decoder")
        if not tie_embeddings:
            # The product itself in float32: a cast behind it would keep the steps of half precision.
            self.logits_dense = keras.layers.Dense(
                vocabulary_size, use_bias=False, dtype="float32", name="logits"
            )

    @property
    def target_vocabulary_size(self) -> int:
        """V, by the name that it has in models with a source."""
        return self.vocabulary_size

    def build(self, input_shape: Any = None) -> None:
        width = (None, None, self.hidden_dim)
        self.embedding.build((None, None))
        if self.positions is not None:
            self.positions.build(width)
        self.decoder.build(width)
        if not self.tie_embeddings:
            self.logits_dense.build(width)

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        # No padding mask: padding comes last, where causality hides it already.
        return self._logits(self.decoder(self._embedded(inputs, training), training=training))

    def _embedded(self, inputs, training):
        check_inputs(inputs, "target_ids")
        hidden = encoded(self.positions, self.embedding(inputs["target_ids"]))
        return self.embedding_dropout(hidden, training=training)

    def _attention_weights(self, inputs):
        # "decoder".
        return {"decoder": self.decoder.attend(self._embedded(inputs, training=False))[1]}

    def _logits(self, hidden):
        if self.tie_embeddings:
            return self.embedding(hidden, reverse=True)
        return self.logits_dense(hidden)

    def input_specs(self) -> Tree:
        """See `ZooModel`."""
        return id_specs("target_ids")

    def initial_state(self, inputs: Mapping[str, Tensor], max_length: int) -> Tree:
        """See `AutoregressiveModel`; `inputs` is {"prompt_ids": (B, P)}, and only its B counts here.

        The search forces the prompts: what all have in length it reads in one pass.
        """
        if "prompt_ids" not in inputs:
            raise ValueError(
                "A language model has no source: its inputs are {'prompt_ids': (B, P)}. "
                f"Received: {sorted(inputs)}."
            )
        self._check_length(max_length)
        if not self.built:  # it was never called
            self.build()
        batch_size = ops.shape(inputs["prompt_ids"])[0]
        return {"source": [], "target": self.decoder.initial_state(batch_size, max_length)}

    def grow(self, target_state: Tree, max_length: int) -> Tree:
        """See `AutoregressiveModel`."""
        self._check_length(max_length)
        return self.decoder.grow(target_state, max_length)

    def read(self, token_ids: Tensor, state: Tree, index: int | Tensor) -> tuple[Tensor, Tree]:
        """See `AutoregressiveModel`."""
        hidden = encoded(self.positions, self.embedding(token_ids), index)
        hidden, target = self.decoder.step(hidden, state["target"], index)
        return self._logits(hidden), {**state, "target": target}

    def decode_step(self, token_ids: Tensor, state: Tree, index: int | Tensor) -> tuple[Tensor, Tree]:
        """See `AutoregressiveModel`."""
        logits, state = self.read(ops.expand_dims(token_ids, 1), state, index)
        return logits[:, 0], state

    def attention(self, state: Tree) -> NoReturn:
        """Raises ValueError: there is no source that could be attended to."""
        raise ValueError(
            "A language model has no source, and no attention to one that could be kept or counted: use "
            "`decoding.generate` or `generate_n_best`. Received: a CausalLM."
        )
