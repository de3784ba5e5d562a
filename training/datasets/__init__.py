"""Data sets of sentence pairs, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def load(
    name: str,
    split: str,
    *,
    source: str = "",
    target: str = "",
    data_dir: str | None = None,
) -> tf.data.Dataset:
    from training.datasets import multi30k

    return multi30k.load(
        split, source_language=source or "de", target_language=target or "en", data_dir=data_dir
    )
