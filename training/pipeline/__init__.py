"""From data to batches of a few fixed shapes: pairs of texts, running text, texts with classes, images.

Of pairs: tokenize, leave out what the filters name, sort into buckets by length, shuffle with a seed,
change at random if asked to, batch by tokens, pad.
"""

from training.pipeline.arrays import ArrayBatches, flipped_and_shifted
from training.pipeline.augmentation import Augmentation
from training.pipeline.base import Batches, Shape
from training.pipeline.batches import BucketBatches, default_boundaries
from training.pipeline.filters import Filters
from training.pipeline.pairs import EncodedPairs, Rows, check_some_passed, encode, encoded_blocks
from training.pipeline.texts import TextBatches, TokenBatches, labelled_rows, rows
from training.pipeline.windows import WindowBatches, encode_text

__all__ = [
    "ArrayBatches",
    "Augmentation",
    "Batches",
    "BucketBatches",
    "EncodedPairs",
    "Filters",
    "Rows",
    "Shape",
    "TextBatches",
    "TokenBatches",
    "WindowBatches",
    "check_some_passed",
    "default_boundaries",
    "encode",
    "encode_text",
    "encoded_blocks",
    "flipped_and_shifted",
    "labelled_rows",
    "rows",
]
