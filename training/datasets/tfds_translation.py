"""Any translation set of tensorflow-datasets."""

from __future__ import annotations

import re

import tensorflow as tf
import tensorflow_datasets as tfds


def load(
    name: str,
    split: str,
    *,
    source_language: str = "",
    target_language: str = "",
    data_dir: str | None = None,
) -> tf.data.Dataset:
    """Sentence pairs of one split; prepares the set the first time.

    Args:
        name: as tensorflow-datasets names it: "ted_hrlr_translate/pt_to_en", "wmt14_translate/de-en".
        split: "train", "validation" or "test".
        source_language: one of the set's two languages; empty for both takes the direction the set gives.
        target_language: the other one.
        data_dir: where tensorflow-datasets keeps its data; None for its default, `~/tensorflow_datasets`.

    Returns:
        Dataset of (source, target), scalar tf.string each.

    Raises:
        ValueError: unknown name, a set that is no translation set, a language or a split it lacks, or it
            cannot be downloaded.
    """
    builder = find_builder(name, data_dir)
    source, target = _direction(builder, source_language, target_language)
    prepare(builder)
    pairs = builder.as_dataset(split=split, shuffle_files=False)
    return pairs.map(lambda pair: (pair[source], pair[target]), num_parallel_calls=tf.data.AUTOTUNE)


def prepare(builder: tfds.core.DatasetBuilder) -> None:
    """Downloads a data set and writes it in the form that tfds reads, unless that is done.

    Raises:
        ValueError: anything went wrong; says what in one line.
    """
    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    # A list of types would miss some: no network, a dead link, a checksum, a library that only one set needs.
    except Exception as error:
        reason = (str(error).strip() or "no message").splitlines()[0]
        raise ValueError(
            f"{builder.info.full_name} could not be prepared ({type(error).__name__}: {reason})."
        ) from error


def find_builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """The builder of a data set. Raises ValueError if tfds knows none of this name."""
    try:
        return tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except ValueError as error:  # its own text is a page: all data sets, one a line
        known = "no data set has this name"
        if (dataset := re.match(r"\w*", name)[0]) in tfds.list_builders(with_community_datasets=False):
            known = f"configs of {dataset}: {', '.join(tfds.builder_cls(dataset).builder_configs) or 'none'}"
        raise ValueError(f"tensorflow-datasets must know the set. Received: {name!r}; {known}.") from error


def _direction(builder, source: str, target: str) -> tuple[str, str]:
    """Source and target language: those asked for, or those the set gives."""
    features, keys = builder.info.features, builder.info.supervised_keys
    if not isinstance(features, tfds.features.Translation):
        raise ValueError(
            f"A tfds data set must hold pairs in two languages. Received: {builder.name}, "
            f"which holds {', '.join(features)}."
        )
    if not source and not target and keys:
        return tuple(keys)
    if source == target or not {source, target} <= set(features):
        raise ValueError(
            f"Source and target of {builder.name} must be two of {', '.join(features)}. "
            f"Received: source={source!r}, target={target!r}."
        )
    return source, target
