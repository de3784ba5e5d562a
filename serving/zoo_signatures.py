"""What exported models other than translators can be asked.

    causal_lm           serving_default, generate: text -> generated; generate_nbest: -> generated, scores
    image_captioner     serving_default, caption: image_bytes -> caption; caption_nbest: -> captions, scores
    attention_cnn       serving_default, classify: image_bytes -> class, probability, probabilities

In JSON, inputs whose names end in _bytes are base64, {"b64": "..."}: the server's own rule. Legend: B rows,
N results of a row.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import tensorflow as tf

from serving.signatures import LOWEST, single


@dataclasses.dataclass(frozen=True)
class Served:
    """What is exported of a run.

    Attributes:
        functions: name of the signature -> `tf.function`.
        resources: variables and tokenizers that the functions read.
        warm_up: requests, see `saved_model.write`.
    """

    functions: dict
    resources: list
    warm_up: list


def causal_lm(run_folder, search, checkpoint=None) -> Served:
    """Texts that begin with the given ones."""
    from keras_transformer.text_generator import TextGenerator

    generator = TextGenerator.from_run(run_folder, search, checkpoint)
    best = TextGenerator(generator.model, generator.tokenizer, single(generator.search))

    @_graph("text")
    def generate(text):
        """`text` (B,) -> `generated` (B,), strings: each begins with its text."""
        return {"generated": best(text)}

    @_graph("text")
    def generate_nbest(text):
        """`text` (B,) -> `generated` (B, N), strings, and `scores` (B, N), float32: log-probabilities."""
        texts, scores = generator.n_best(text)
        return {"generated": texts, "scores": tf.maximum(scores, LOWEST)}

    functions = {"serving_default": generate, "generate": generate, "generate_nbest": generate_nbest}
    texts = ["a"], [" ".join("a" * generator.search.max_length)], ["", "a", "b b"]
    requests = [(name, {"text": text}) for text in texts for name in functions]
    return Served(functions, [generator.tf_variables, generator.tokenizer], requests)


def image_captioner(run_folder, search, checkpoint=None) -> Served:
    """Captions of encoded images."""
    from keras_transformer.captioner import Captioner

    captioner = Captioner.from_run(run_folder, search, checkpoint)
    best = Captioner(captioner.model, captioner.tokenizer, single(captioner.search), captioner.image_shape)

    @_graph("image_bytes")
    def caption(image_bytes):
        """`image_bytes` (B,), JPEG, PNG, GIF or BMP -> `caption` (B,), strings."""
        return {"caption": best(image_bytes)}

    @_graph("image_bytes")
    def caption_nbest(image_bytes):
        """`image_bytes` (B,) -> `captions` (B, N), strings, and `scores` (B, N), log-probabilities."""
        captions, scores = captioner.n_best(image_bytes)
        return {"captions": captions, "scores": tf.maximum(scores, LOWEST)}

    functions = {"serving_default": caption, "caption": caption, "caption_nbest": caption_nbest}
    return Served(
        functions, [captioner.tf_variables, captioner.tokenizer], _images(functions, captioner.image_shape)
    )


def attention_cnn(run_folder, search, checkpoint=None) -> Served:
    """Classes of encoded images; there is nothing to search."""
    from keras_transformer.image_classifier import ImageClassifier

    classifier = ImageClassifier.from_run(run_folder, checkpoint)

    @_graph("image_bytes")
    def classify(image_bytes):
        """`image_bytes` (B,) -> `class` (B,), strings, `probability` (B,), `probabilities` (B, classes)."""
        probabilities = classifier.probabilities(image_bytes)
        names = tf.gather(tf.constant(classifier.classes), tf.argmax(probabilities, axis=1))
        return {
            "class": names,
            "probability": tf.reduce_max(probabilities, axis=1),
            "probabilities": probabilities,
        }

    functions = {"serving_default": classify, "classify": classify}
    return Served(functions, [classifier.tf_variables], _images(functions, classifier.image_shape))


# Kind of model, as in the run's configuration -> what is exported of it.
KINDS: dict[str, Callable[..., Served]] = {
    "causal_lm": causal_lm,
    "image_captioner": image_captioner,
    "attention_cnn": attention_cnn,
}


def _images(functions, image_shape):
    """Requests with one image and with several, of the model's size and smaller."""
    *size, channels = image_shape
    found = [tf.io.encode_png(tf.zeros((*sides, channels), tf.uint8)).numpy() for sides in (size, (1, 1))]
    return [(name, {"image_bytes": images}) for images in ([found[0]], found * 4) for name in functions]


def _graph(name):
    """Decorates a function of a batch of strings (B,)."""
    return partial(tf.function, input_signature=[tf.TensorSpec([None], tf.string, name)], autograph=False)
