"""This project's model. Variants: "fit", "step" (without `fit`), "xla", "bfloat16", "attention_dropout"."""

from command_line import quiet

with quiet.start_up():
    import keras

    from benchmarks.training_peers import child
    from benchmarks.training_peers.keras_training import KerasTraining, limit_threads
    from keras_transformer import losses, models


def make(specification, batches):
    sizes, variant = dict(specification["sizes"]), specification["variant"]
    limit_threads(specification["threads"])
    keras.utils.set_random_seed(0)
    if variant == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    vocabulary_size = sizes.pop("vocabulary_size")
    model = models.Transformer(
        vocabulary_size,
        vocabulary_size,
        share_embeddings=True,
        dropout=specification["dropout"],
        attention_dropout=specification["dropout"] if variant == "attention_dropout" else 0.0,
        **sizes,
    )
    model.build()
    loss = losses.SmoothedCrossEntropy(specification["label_smoothing"])
    return KerasTraining(model, loss, batches, jit_compile=variant == "xla", bare=variant == "step")


if __name__ == "__main__":
    child.serve(make)
