"""What an export of a pipeline consists of: graph functions with named inputs and outputs, and requests.

In JSON, inputs whose names end in _bytes are base64, {"b64": "..."}: the server's own rule. Signatures that
take a seed are there if the search draws. Legend: B rows of a batch, N results of a row.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from keras_transformer import decoding
from keras_transformer.installation import needs
from keras_transformer.pipelines.guards import Limits

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
    """Decorates a function of batches: strings (B,), seeds (B,) and ids (B, S); {name: type}."""
    specs = [
        tf.TensorSpec([None, None] if name.endswith("ids") else [None], dtype, name)
        for name, dtype in inputs.items()
    ]
    return functools.partial(tf.function, input_signature=specs, autograph=False)


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
