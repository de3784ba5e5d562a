"""Keras's own tests of grouped-query attention, from its wheel, with our layer in its layer's place."""

from keras.src.layers.attention import grouped_query_attention_test as suite

from keras_transformer import layers
from tests.layers import keras_suite


class GroupedQueryAttentionTest(suite.GroupedQueryAttentionTest):
    our_layer = keras_suite.with_ours(suite, layers.GroupedQueryAttention)


def test_keras_ships_all_of_its_tests():
    found = [name for name in dir(GroupedQueryAttentionTest) if name.startswith("test_")]
    assert len(found) >= 27
