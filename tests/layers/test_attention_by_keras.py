"""Keras's own tests of multi-head attention, from its wheel, with our layer in its layer's place."""

from keras.src.layers.attention import multi_head_attention_test as suite

from keras_transformer import layers
from tests.layers import keras_suite


class MultiHeadAttentionTest(suite.MultiHeadAttentionTest):
    our_layer = keras_suite.with_ours(suite, layers.MultiHeadAttention)


def test_keras_ships_all_of_its_tests():
    found = [name for name in dir(MultiHeadAttentionTest) if name.startswith("test_")]
    assert len(found) >= 50
