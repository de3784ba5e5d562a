"""Two tiny Transformers that differ in every choice, and a batch for them."""

import numpy as np
import pytest

from keras_transformer import models

B, S, T, D = 3, 7, 5, 6
SOURCE_VOCABULARY, VOCABULARY = 13, 17
SOURCE_IDS = np.array([[5, 9, 12, 4, 4, 7, 3], [8, 3, 0, 0, 0, 0, 0], [6, 7, 1, 3, 0, 0, 0]], "int32")
TARGET_IDS = np.array([[2, 16, 4, 9, 5], [2, 7, 8, 0, 0], [2, 11, 0, 0, 0]], "int32")
LABELS = np.array([[16, 4, 9, 5, 3], [7, 8, 3, 0, 0], [11, 3, 0, 0, 0]], "int32")
INPUTS = {"source_ids": SOURCE_IDS, "target_ids": TARGET_IDS}
SIZES = {"num_layers": 1, "hidden_dim": D, "num_heads": 2, "intermediate_dim": 11}


def small(**kwargs):
    return models.Transformer(SOURCE_VOCABULARY, VOCABULARY, **{**SIZES, **kwargs})


def small_other(**kwargs):
    """The other choice wherever there is one."""
    options = {"norm_first": True, "share_embeddings": True, "max_length": 11, "key_dim": 5}
    options |= {"num_decoder_layers": 2, "activation": "gelu"}
    return models.Transformer(VOCABULARY, VOCABULARY, **{**SIZES, **options, **kwargs})


both = pytest.mark.parametrize("make", [small, small_other])


def inputs_of(source_ids, target_ids=TARGET_IDS):
    return {"source_ids": source_ids, "target_ids": target_ids}
