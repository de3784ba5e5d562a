"""This project's translator. Variants: "python", of a run folder; "saved_model", of its export."""

from command_line import quiet

with quiet.start_up():
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers the tokenizers' operations

    from benchmarks.training_peers.keras_training import limit_threads
    from benchmarks.translation_peers import child
    from keras_transformer import decoding, pipelines


def make(specification):
    limit_threads(specification["threads"])
    if specification["variant"] == "python":
        search = decoding.Greedy(specification["max_length"])
        translator = pipelines.load(specification["run"], search)
        return lambda texts: [(best.text, best.score) for best, *_ in translator.hypotheses(texts)]
    signature = tf.saved_model.load(specification["exported"]).signatures["translate_nbest"]

    def translate(texts):
        found = signature(text=tf.constant(texts))
        best = [found[name].numpy()[:, 0].tolist() for name in ("translations", "scores")]
        return [(text.decode("utf-8"), score) for text, score in zip(*best, strict=True)]

    return translate


if __name__ == "__main__":
    child.serve(make)
