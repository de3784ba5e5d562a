"""Requests that a server joins: what an export says of that, and that answers stay those of requests alone.

Joined by TensorFlow's BatchFunction, whose queue and scheduler are TF Serving's.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.batching import joined, settings_of
from keras_transformer.pipelines import guards
from keras_transformer.special_ids import END_ID
from serving import batching
from serving.limits import Limits

from .conftest import REQUESTS, plain, same
from .test_tf_serving_files import parse

LIMITS = {"max_rows": Limits().max_rows}


def parameters(inputs=("text",), **facts):
    return batching.parameters(inputs, {"limits": LIMITS, **facts})


def test_every_row_of_a_largest_request_fits_into_a_batch():
    found = parse("BatchingParameters", parameters())
    assert found.max_batch_size.value == LIMITS["max_rows"] and found.pad_variable_length_inputs
    assert not found.allowed_batch_sizes and not found.enable_large_batch_splitting.value


def test_batches_have_the_numbers_of_rows_that_xla_compiled():
    found = parse("BatchingParameters", parameters(xla={"rows": [1, 8, 32]}))
    # TF Serving wants the last of them to be the largest batch.
    assert list(found.allowed_batch_sizes) == [1, 8, 32] and found.max_batch_size.value == 32


def test_a_model_of_images_is_never_joined():
    assert parameters(["image_bytes"]) is None
    assert batching.parameters(["text"], {}) is None


def test_the_file_lies_in_the_version(exported):
    assert (exported / batching.FILE).read_text(encoding="utf-8") == parameters()


def at_once(function, requests):
    """The answers to requests, {input: tensor}, that are asked at the same time."""
    with ThreadPoolExecutor(len(requests)) as pool:
        return [plain(answer) for answer in pool.map(lambda request: function(**request), requests)]


def together(function, max_batch_size):
    """The signature joined; a batch waits until it is full, however busy the machine is."""
    settings = {"num_batch_threads": 1, "batch_timeout_micros": 60_000_000, "max_batch_size": max_batch_size}
    return joined(function, settings_of(parameters()) | settings)


def test_the_joined_requests_of_clients_are_answered_as_alone():
    rows = []

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], autograph=False)
    def length(text):
        tf.py_function(lambda text: rows.append(len(text)), [text], [])
        return {"length": tf.strings.length(text)}

    requests = [{"text": tf.constant(["5" * count] * count)} for count in (1, 2, 3)]
    found = at_once(together(length.get_concrete_function(), max_batch_size=6), requests)
    assert [answer["length"] for answer in found] == [[1], [2, 2], [3, 3, 3]] and rows == [6]


@pytest.fixture(scope="module")
def loaded(exported):
    model = tf.saved_model.load(str(exported))
    yield model.signatures
    del model


@pytest.mark.slow
@pytest.mark.parametrize("name", ["translate", "translate_nbest", "score", "align"])
def test_every_signature_answers_joined_requests_as_alone(loaded, name):
    (texts,) = [inputs for signature, inputs in REQUESTS if signature == name]
    count = len(next(iter(texts.values())))
    requests = [{key: tf.constant(values[i : i + 1]) for key, values in texts.items()} for i in range(count)]
    alone = [plain(loaded[name](**request)) for request in requests]
    found = at_once(together(loaded[name], max_batch_size=count), requests)
    for answer, expected in zip(found, alone, strict=True):
        # What stands behind a shorter row is padding.
        for key, value in expected.items():
            x, wanted = np.array(answer[key], object), np.array(value, object)
            inside = tuple(slice(0, size) for size in wanted.shape)
            assert same([{key: x[inside].tolist()}], [{key: value}])
            assert not any(x.ravel()[~_inside(x.shape, wanted.shape).ravel()])


def _inside(shape, inner):
    found = np.zeros(shape, bool)
    found[tuple(slice(0, size) for size in inner)] = True
    return found


def test_ids_that_a_server_pads_with_the_first_are_padding():
    padded = tf.constant([[7, 11, 5, END_ID, 7], [13, END_ID, 13, 13, 13], [17, 0, 0, 0, 0]])
    found = guards.ids(padded, 5, Limits()).numpy().tolist()
    assert found == [[7, 11, 5, END_ID, 0], [13, END_ID, 0, 0, 0], [17, 0, 0, 0, 0]]
