"""Keras's own tests of grouped-query attention, from its wheel, with our layer in its layer's place."""

import keras
import pytest
from keras.src.layers.attention import grouped_query_attention_test as suite

from keras_transformer import layers

KERAS_LAYERS = suite.layers


class OurLayers:
    """What the tests see as `layers`: Keras's, but for the one that is tested."""

    GroupedQueryAttention = layers.GroupedQueryAttention

    def __getattr__(self, name):
        return getattr(KERAS_LAYERS, name)


class GroupedQueryAttentionTest(suite.GroupedQueryAttentionTest):
    @pytest.fixture(autouse=True)
    def our_layer(self, monkeypatch, quick_collections):
        monkeypatch.setattr(suite, "layers", OurLayers())
        yield
        keras.config.enable_traceback_filtering()  # each of Keras's tests turns it off


def test_keras_ships_all_of_its_tests():
    found = [name for name in dir(GroupedQueryAttentionTest) if name.startswith("test_")]
    assert len(found) >= 27
