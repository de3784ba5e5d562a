"""What exported models other than translators can be asked.

    causal_lm           serving_default, generate: text -> generated; generate_nbest: -> generated, scores;
                        generate_seeded: text, seed -> generated, scores
    masked_lm           serving_default, fill: text with [MASK] -> candidates, probabilities
    image_captioner     serving_default, caption: image_bytes -> caption; caption_nbest: -> captions, scores;
                        caption_seeded: image_bytes, seed -> captions, scores
    attention_cnn       serving_default, classify: image_bytes -> class, probability, probabilities

In JSON, inputs whose names end in _bytes are base64, {"b64": "..."}: the server's own rule. Legend: B rows,
N results of a row. Those with a seed are there if the search draws.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import tensorflow as tf

from keras_transformer.text_graphs import same_rows
from serving import guards
from serving.signatures import LOWEST, SAMPLES, Served, answers_alike, draws, single

IMAGE_LIMITS = ("max_rows", "max_image_bytes", "max_image_pixels")


def causal_lm(run_folder, search, limits, checkpoint=None) -> Served:
    """Texts that begin with the given ones."""
    from keras_transformer.text_generator import TextGenerator

    generator = TextGenerator.from_run(run_folder, search, checkpoint)
    best = TextGenerator(generator.model, generator.tokenizer, single(generator.search))

    @_graph("text")
    def generate(text):
        """`text` (B,) -> `generated` (B,), strings: each begins with its text."""
        return {"generated": best(guards.prompt(text, limits))}

    @_graph("text")
    def generate_nbest(text):
        """`text` (B,) -> `generated` (B, N), strings, and `scores` (B, N), float32: log-probabilities."""
        texts, scores = generator.n_best(guards.prompt(text, limits))
        return {"generated": texts, "scores": tf.maximum(scores, LOWEST)}

    @_graph("text", "seed")
    def generate_seeded(text, seed):
        """`text` (B,), strings, `seed` (B,), int32 -> as `generate_nbest`, alike each time."""
        text, seed = same_rows(text=text, seed=seed)
        texts, scores = generator.n_best(guards.prompt(text, limits), seed)
        return {"generated": texts, "scores": tf.maximum(scores, LOWEST)}

    functions = {"serving_default": generate, "generate": generate, "generate_nbest": generate_nbest}
    if draws(generator.search):
        functions["generate_seeded"] = generate_seeded
    texts = ["a"], [" ".join("a" * generator.search.max_length)], ["", "a", "b b"][: limits.max_rows]
    requests = [(name, _request(name, "text", text)) for text in texts for name in functions]
    repeatable = answers_alike(functions, generator.search)
    samples = [
        (name, _request(name, "text", texts))
        for texts in (SAMPLES[:1], SAMPLES[: limits.max_rows])
        for name in repeatable
    ]
    return Served(
        functions,
        [generator.tf_variables, generator.tokenizer],
        requests,
        samples,
        generator.search,
        limits.of("max_rows", "max_characters") | {"max_steps": generator.search.max_length},
    )


def masked_lm(run_folder, search, limits, checkpoint=None) -> Served:
    """Tokens for the gap of a text; there is nothing to search."""
    from keras_transformer.mask_filler import MASK, MaskFiller

    filler = MaskFiller.from_run(run_folder, checkpoint)

    @_graph("text")
    def fill(text):
        """`text` (B,), each with [MASK] -> `candidates` (B, N), strings, `probabilities` (B, N)."""
        candidates, probabilities = filler(guards.text(text, limits))
        return {"candidates": candidates, "probabilities": probabilities}

    functions = {"serving_default": fill, "fill": fill}
    # The gap must be among the characters that are read.
    length = min(filler.window, (limits.max_characters - len(MASK)) // 4)
    long = " ".join(["a"] * length)
    texts = [f"a {MASK} b"], [f"{long} {MASK} {long}"], [MASK, f"a {MASK}", f"{MASK} b"][: limits.max_rows]
    requests = [(name, {"text": text}) for text in texts for name in functions]
    samples = [(name, {"text": texts[2]}) for name in functions]
    return Served(
        functions,
        [filler.tf_variables, filler.tokenizer],
        requests,
        samples,
        None,
        limits.of("max_rows", "max_characters") | {"max_tokens": filler.window},
    )


def image_captioner(run_folder, search, limits, checkpoint=None) -> Served:
    """Captions of encoded images."""
    from keras_transformer.captioner import Captioner

    captioner = Captioner.from_run(run_folder, search, checkpoint)
    best = Captioner(captioner.model, captioner.tokenizer, single(captioner.search), captioner.image_shape)

    @_graph("image_bytes")
    def caption(image_bytes):
        """`image_bytes` (B,), JPEG, PNG or BMP -> `caption` (B,), strings."""
        return {"caption": best(guards.images(image_bytes, limits))}

    @_graph("image_bytes")
    def caption_nbest(image_bytes):
        """`image_bytes` (B,) -> `captions` (B, N), strings, and `scores` (B, N), log-probabilities."""
        captions, scores = captioner.n_best(guards.images(image_bytes, limits))
        return {"captions": captions, "scores": tf.maximum(scores, LOWEST)}

    @_graph("image_bytes", "seed")
    def caption_seeded(image_bytes, seed):
        """`image_bytes` (B,), strings, `seed` (B,), int32 -> as `caption_nbest`, alike each time."""
        image_bytes, seed = same_rows(image_bytes=image_bytes, seed=seed)
        captions, scores = captioner.n_best(guards.images(image_bytes, limits), seed)
        return {"captions": captions, "scores": tf.maximum(scores, LOWEST)}

    functions = {"serving_default": caption, "caption": caption, "caption_nbest": caption_nbest}
    if draws(captioner.search):
        functions["caption_seeded"] = caption_seeded
    warm_up, samples = _images(functions, captioner.image_shape, limits)
    repeatable = answers_alike(functions, captioner.search)
    return Served(
        functions,
        [captioner.tf_variables, captioner.tokenizer],
        warm_up,
        [(name, request) for name, request in samples if name in repeatable],
        captioner.search,
        limits.of(*IMAGE_LIMITS) | {"max_steps": captioner.search.max_length},
    )


def attention_cnn(run_folder, search, limits, checkpoint=None) -> Served:
    """Classes of encoded images; there is nothing to search."""
    from keras_transformer.image_classifier import ImageClassifier

    classifier = ImageClassifier.from_run(run_folder, checkpoint)

    @_graph("image_bytes")
    def classify(image_bytes):
        """`image_bytes` (B,) -> `class` (B,), strings, `probability` (B,), `probabilities` (B, classes)."""
        probabilities = classifier.probabilities(guards.images(image_bytes, limits))
        names = tf.gather(tf.constant(classifier.classes), tf.argmax(probabilities, axis=1))
        return {
            "class": names,
            "probability": tf.reduce_max(probabilities, axis=1),
            "probabilities": probabilities,
        }

    functions = {"serving_default": classify, "classify": classify}
    return Served(
        functions,
        [classifier.tf_variables],
        *_images(functions, classifier.image_shape, limits),
        None,
        limits.of(*IMAGE_LIMITS),
    )


# Kind of model, as in the run's configuration -> what is exported of it.
KINDS: dict[str, Callable[..., Served]] = {
    "causal_lm": causal_lm,
    "masked_lm": masked_lm,
    "image_captioner": image_captioner,
    "attention_cnn": attention_cnn,
}


def _images(functions, image_shape, limits):
    """Requests to warm up with, one image and several, of the model's size and smaller; and samples."""
    *size, channels = image_shape
    found = [tf.io.encode_png(tf.zeros((*sides, channels), tf.uint8)).numpy() for sides in (size, (1, 1))]
    # Stripes of all shades, of another size than the model's.
    shades = tf.range(32 * 24 * channels) % 251
    found.append(tf.io.encode_png(tf.cast(tf.reshape(shades, (32, 24, channels)), tf.uint8)).numpy())
    warm_up = [found[:1], (found * 4)[: limits.max_rows]]
    samples = [found[2:], found[: limits.max_rows]]
    return (
        [(name, _request(name, "image_bytes", images)) for images in requests for name in functions]
        for requests in (warm_up, samples)
    )


def _request(signature, name, values):
    """A request to a signature, with seeds if it takes them."""
    seeds = {"seed": np.arange(len(values), dtype="int32")} if signature.endswith("_seeded") else {}
    return {name: values} | seeds


def _graph(*names):
    """Decorates a function of batches: strings (B,), and seeds (B,)."""
    specs = [tf.TensorSpec([None], tf.int32 if name == "seed" else tf.string, name) for name in names]
    return partial(tf.function, input_signature=specs, autograph=False)
