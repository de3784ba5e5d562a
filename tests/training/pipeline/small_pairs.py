"""Few short pairs as bytes, in batches, and read back from them."""

import itertools

import tensorflow as tf

from keras_transformer.tokenizers import CharacterTokenizer
from training import pipeline

BYTES = CharacterTokenizer("bytes")
BOUNDARIES = (5, 11, 17)
# 101 different pairs of 0 to 16 bytes a side; the target's length does not follow the source's.
PAIRS = [(f"{n:03}"[: n % 4] + "s" * (n % 13), f"{n:03}" + "t" * (n * 5 % 14)) for n in range(101)]


def dataset_of(pairs):
    sources, targets = zip(*pairs, strict=True) if pairs else ((), ())
    return tf.data.Dataset.from_tensor_slices(
        (tf.constant(sources, tf.string), tf.constant(targets, tf.string))
    )


def encode(pairs=PAIRS, max_length=17, keep_texts=False, **filters):
    return encode_corpora([pairs], max_length, keep_texts, **filters)


def encode_corpora(corpora, max_length=17, keep_texts=False, **filters):
    filters = pipeline.Filters(max_length, **filters)
    return pipeline.encode([dataset_of(pairs) for pairs in corpora], BYTES, BYTES, filters, keep_texts)


def texts_in(rows):
    return [text_of(rows[row].tolist()) for row in range(len(rows))]


def buckets_of(pairs=PAIRS, max_length=17, **change):
    options = {"batch_tokens": 60, "bucket_boundaries": BOUNDARIES, "shuffle": True, "seed": 3}
    encoded = encode(pairs, max_length)
    return pipeline.BucketBatches(encoded, **options | change)


def passes_of(buckets, count, start=0):
    """The pairs of each of `count` passes of the stream, the first perhaps begun."""
    stream = iter(buckets.stream(start))
    lengths = [len(buckets) - start % len(buckets), *[len(buckets)] * (count - 1)]
    return [one_pass(itertools.islice(stream, length)) for length in lengths]


def text_of(ids):
    return bytes(id_ - 4 for id_ in ids if id_ >= 4).decode()


def texts_of(batch):
    """The pairs of a batch as text; rows of pads are left out."""
    inputs, labels = batch
    rows = zip(inputs["source_ids"].numpy().tolist(), labels.numpy().tolist(), strict=True)
    return [(text_of(source), text_of(target)) for source, target in rows if any(source)]


def one_pass(dataset):
    return [pair for batch in dataset for pair in texts_of(batch)]
