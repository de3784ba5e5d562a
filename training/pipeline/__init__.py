"""From pairs of texts to batches of a few fixed shapes.

Tokenize, leave out what the filters name, sort into buckets by length, shuffle with a seed, change at random
if asked to, batch by tokens, pad.
"""

from training.pipeline.augmentation import Augmentation
from training.pipeline.base import Batches, Shape
from training.pipeline.batches import BucketBatches, default_boundaries
from training.pipeline.filters import Filters
from training.pipeline.pairs import EncodedPairs, Rows, encode

__all__ = [
    "Augmentation",
    "Batches",
    "BucketBatches",
    "EncodedPairs",
    "Filters",
    "Rows",
    "Shape",
    "default_boundaries",
    "encode",
]
