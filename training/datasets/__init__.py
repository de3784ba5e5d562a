"""Data sets of sentence pairs, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

SPLITS = ("train", "validation", "test")
SIDES = ("source", "target")

# Which options each data set takes. An option that would be ignored is refused.
_OPTIONS = {
    "dates": (),
    "multi30k": ("source", "target", "data_dir"),
    "parallel_text": ("files", "columns"),
    "tfds:NAME/CONFIG": ("source", "target", "data_dir"),
}


def load(
    name: str,
    split: str,
    *,
    source: str = "",
    target: str = "",
    data_dir: str | None = None,
    files: Sequence[str] = (),
    columns: Sequence[str] = SIDES,
    num_examples: int = 40_000,
    seed: int = 0,
) -> tf.data.Dataset:
    """The sentence pairs of one split, always in the same order.

    Args:
        name: "dates", "multi30k", "parallel_text", or "tfds:NAME/CONFIG" for any translation set of
            tensorflow-datasets, like "tfds:ted_hrlr_translate/pt_to_en".
        split: "train", "validation" or "test".
        source: for multi30k and tfds: language to translate from; empty for "de", or what the tfds set says.
        target: for multi30k and tfds: language to translate to; empty for "en", or what the tfds set says.
        data_dir: for multi30k: folder with the upstream files; for tfds: where it keeps its data. None
            downloads them.
        files: for parallel_text: this split's source and target file, or one TSV file.
        columns: for parallel_text: of its TSV file, see `parallel_text.load`.
        num_examples: for dates: number of training pairs; the other splits have 2,000 each.
        seed: for dates: seed of the draw.

    Returns:
        Dataset of (source, target), scalar tf.string each.

    Raises:
        ValueError: unknown name, split or language, an option that the set does not take, or bad data.
        FileNotFoundError: a file is missing or cannot be downloaded.
    """
    kind = "tfds:NAME/CONFIG" if name.startswith("tfds:") else name
    if kind not in _OPTIONS:
        raise ValueError(f"A data set must be one of {', '.join(_OPTIONS)}. Received: {name!r}.")
    if split not in SPLITS:
        raise ValueError(f"A split must be one of {', '.join(SPLITS)}. Received: {split!r}.")
    given = {"source": source, "target": target, "data_dir": data_dir, "files": files}
    given["columns"] = () if tuple(columns) == SIDES else columns
    for option, value in given.items():
        if value and option not in _OPTIONS[kind]:
            raise ValueError(f"`{option}` is no option of the data set {kind}. Received: {option}={value!r}.")

    # Imported here: each brings a library that the others do not need, and tfds takes seconds.
    match kind:
        case "dates":
            from training.datasets import dates

            return dates.load(split, num_examples=num_examples, seed=seed)
        case "multi30k":
            from training.datasets import multi30k

            return multi30k.load(
                split, source_language=source or "de", target_language=target or "en", data_dir=data_dir
            )
        case "parallel_text":
            from training.datasets import parallel_text

            return parallel_text.load(split, files=files, columns=columns)
    from training.datasets import tfds_translation

    name = name.removeprefix("tfds:")
    return tfds_translation.load(
        name, split, source_language=source, target_language=target, data_dir=data_dir
    )
