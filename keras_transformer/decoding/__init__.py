"""Decoding: searches that know a step function and no model."""

from keras_transformer.decoding.beam import BeamSearch
from keras_transformer.decoding.ensemble import Ensemble
from keras_transformer.decoding.generate import (
    generate,
    generate_n_best,
    generate_with_attention,
    generate_with_history,
    hard_alignment,
    soft_alignment,
)
from keras_transformer.decoding.history import History
from keras_transformer.decoding.sampling import Greedy, Sampling
from keras_transformer.decoding.score import attention_to_source, perplexity, score
from keras_transformer.decoding.search import Result, Search

__all__ = [
    "BeamSearch",
    "Ensemble",
    "Greedy",
    "History",
    "Result",
    "Sampling",
    "Search",
    "attention_to_source",
    "generate",
    "generate_n_best",
    "generate_with_attention",
    "generate_with_history",
    "hard_alignment",
    "perplexity",
    "score",
    "soft_alignment",
]
