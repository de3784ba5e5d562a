"""KerasHub's Transformer layers in a functional model.

Variants: "fit"; "xla"; "our_loss", with this project's loss in place of Keras's categorical cross-entropy on
one-hot labels, which is what Keras has for label smoothing.
"""

import keras
import keras_hub
from keras import ops

from benchmarks.training_peers import child
from benchmarks.training_peers.keras_training import KerasTraining, limit_threads


class OneHotCrossEntropy(keras.losses.CategoricalCrossentropy):
    """Keras's label smoothing, on integer labels, averaged over the real tokens."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        weight = ops.cast(ops.not_equal(y_true, 0), "float32")
        one_hot = ops.one_hot(y_true, y_pred.shape[-1])
        return super().__call__(one_hot, y_pred, sample_weight=weight)


def make(specification, batches):
    sizes, variant = specification["sizes"], specification["variant"]
    limit_threads(specification["threads"])
    keras.utils.set_random_seed(0)
    model = transformer(sizes, specification["dropout"], batches["labels"].shape[-1])
    arguments = {"label_smoothing": specification["label_smoothing"], "reduction": "mean_with_sample_weight"}
    if variant == "our_loss":
        from keras_transformer.losses import SmoothedCrossEntropy

        loss = SmoothedCrossEntropy(**arguments)
    else:
        loss = OneHotCrossEntropy(from_logits=True, **arguments)
    return KerasTraining(model, loss, batches, jit_compile=variant == "xla")


def transformer(sizes, dropout, length):
    """The encoder-decoder model, its embedding shared by source, target and logits."""
    source_ids = keras.Input((length,), dtype="int32", name="source_ids")
    target_ids = keras.Input((length,), dtype="int32", name="target_ids")
    embedding = keras_hub.layers.TokenAndPositionEmbedding(
        sizes["vocabulary_size"], length, sizes["hidden_dim"], tie_weights=True
    )
    layer_sizes = {name: sizes[name] for name in ("intermediate_dim", "num_heads")}
    source_mask = ops.not_equal(source_ids, 0)
    hidden = keras.layers.Dropout(dropout)(embedding(source_ids))
    for _ in range(sizes["num_layers"]):
        layer = keras_hub.layers.TransformerEncoder(**layer_sizes, dropout=dropout)
        hidden = layer(hidden, padding_mask=source_mask)
        without_dropout(layer._self_attention_layer)
    memory = hidden
    hidden = keras.layers.Dropout(dropout)(embedding(target_ids))
    for _ in range(sizes["num_layers"]):
        layer = keras_hub.layers.TransformerDecoder(**layer_sizes, dropout=dropout)
        hidden = layer(hidden, memory, encoder_padding_mask=source_mask)
        without_dropout(layer._self_attention_layer)
        without_dropout(layer._cross_attention_layer)
    logits = embedding.token_embedding(hidden, reverse=True)
    return keras.Model({"source_ids": source_ids, "target_ids": target_ids}, logits)


def without_dropout(attention):
    """Spares the attention weights, as the paper does; the layers have one rate for all."""
    attention._dropout = attention._dropout_layer.rate = 0.0


if __name__ == "__main__":
    child.serve(make)
