"""Signatures of an export: graph functions with named inputs and outputs, and requests to them.

In JSON, inputs whose names end in _bytes are base64, {"b64": "..."}: the server's own rule. Signatures that
take a seed are there if the search draws. Legend: B rows of a batch, N results of a row.
"""

import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from keras_transformer import decoding
from keras_transformer.installation import needs
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.text_graphs import same_rows

with needs("text"):
    import tensorflow as tf

# Score of a hypothesis that is not there: -inf, as far as JSON has a number for it.
LOWEST = tf.float32.min
# Texts whose answers are stored with the export.
SAMPLES = ["1", "", "Ein Beispiel, 12.5 % \N{EM DASH} an example.", "\u00fc\u4e2d\u6587 \U0001f642"]
IMAGE_LIMITS = ("max_rows", "max_image_bytes", "max_image_pixels")


@dataclasses.dataclass(frozen=True)
class Served:
    """What is exported of a run.

    Attributes:
        functions: name of the signature -> `tf.function`.
        resources: variables and tokenizers that the functions read.
        warm_up, samples: requests, see `saved_model.write`.
        search: how it decodes; None if there is nothing to search.
        limits: how large a request may be, name -> number.
    """

    functions: dict
    resources: list
    warm_up: list
    samples: list
    search: decoding.Search | None
    limits: dict


def graph(**inputs: tf.DType) -> Callable:
    """Decorates a function of batches: strings (B,), seeds (B,), ids (B, S); {name: type}, in its order."""
    specs = [
        tf.TensorSpec([None, None] if name.endswith("ids") else [None], dtype, name)
        for name, dtype in inputs.items()
    ]

    def decorate(function):
        # Who calls it does so by these names, whatever the function calls its arguments.
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        function.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in inputs])
        return tf.function(function, input_signature=specs, autograph=False)

    return decorate


def single(search: decoding.Search) -> decoding.Search:
    """The search with one result for each source, that which is otherwise its first."""
    if isinstance(search, decoding.BeamSearch):
        return dataclasses.replace(search, n_best=1)
    if isinstance(search, decoding.Sampling):
        return dataclasses.replace(search, num_samples=1)
    return search


def draws(search: decoding.Search) -> bool:
    """Whether the answers are drawn at random."""
    return isinstance(search, decoding.Sampling)


def answers_alike(signatures: dict, search: decoding.Search) -> list[str]:
    """Names of the signatures that answer a request alike each time: what can be stored and verified."""
    is_fresh = draws(search) and search.seed is None
    return [name for name in signatures if not is_fresh or name == "score" or name.endswith("_seeded")]


def searched(pipeline: Any, name: str, takes: str, guard: Callable, returns: tuple[str, str]) -> dict:
    """The signatures of a `SearchingPipeline`: NAME, also called serving_default, NAME_nbest, NAME_seeded.

        NAME            TAKES (B,) -> the best of each, (B,), strings
        NAME_nbest      TAKES (B,) -> all, (B, N), strings, and `scores` (B, N), float32: log-probabilities
        NAME_seeded     TAKES (B,), `seed` (B,), int32 -> as NAME_nbest, alike each time; if the search draws

    Args:
        pipeline: whose answers they are.
        name: NAME.
        takes: TAKES, strings.
        guard: (tensor) -> tensor, the limits of a request.
        returns: the outputs' names: of the best, and of all.
    """
    best = copy.copy(pipeline)  # whoever asks for one result does not wait for N
    best.search = single(pipeline.search)
    one, many = returns

    def listed(inputs, seed=None):
        texts, scores = pipeline.n_best(guard(inputs), seed)
        return {many: texts, "scores": tf.maximum(scores, LOWEST)}

    @graph(**{takes: tf.string})
    def answer(inputs):
        return {one: best(guard(inputs))}

    @graph(**{takes: tf.string})
    def n_best(inputs):
        return listed(inputs)

    @graph(**{takes: tf.string, "seed": tf.int32})
    def seeded(inputs, seed):
        return listed(*same_rows(**{takes: inputs, "seed": seed}))

    found = {"serving_default": answer, name: answer, f"{name}_nbest": n_best}
    return found | ({f"{name}_seeded": seeded} if draws(pipeline.search) else {})


def text_requests(functions: Iterable[str], *batches: list[str]) -> list[tuple[str, dict]]:
    """A request with each batch of texts to each signature, {"text": batch}, with seeds if it takes them."""
    return [(name, request(name, "text", texts)) for texts in batches for name in functions]


def image_requests(functions: dict, image_shape: tuple, limits: Limits) -> tuple[list, list]:
    """Requests to warm up with, one image and several, of the model's size and smaller; and samples."""
    *size, channels = image_shape
    found = [tf.io.encode_png(tf.zeros((*sides, channels), tf.uint8)).numpy() for sides in (size, (1, 1))]
    # Stripes of all shades, of another size than the model's.
    shades = tf.range(32 * 24 * channels) % 251
    found.append(tf.io.encode_png(tf.cast(tf.reshape(shades, (32, 24, channels)), tf.uint8)).numpy())
    warm_up = [found[:1], (found * 4)[: limits.max_rows]]
    samples = [found[2:], found[: limits.max_rows]]
    return tuple(
        [(name, request(name, "image_bytes", images)) for images in requests for name in functions]
        for requests in (warm_up, samples)
    )


def request(signature: str, name: str, values: list) -> dict:
    """A request to a signature, with seeds if it takes them."""
    seeds = {"seed": np.arange(len(values), dtype="int32")} if signature.endswith("_seeded") else {}
    return {name: values} | seeds
