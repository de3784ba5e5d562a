"""Decoding: searches that know a step function and no model."""

from keras_transformer.decoding.sampling import Greedy, generate, generate_with_attention

__all__ = ["Greedy", "generate", "generate_with_attention"]
