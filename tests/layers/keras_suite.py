"""Keras's own suites, from its wheel, with a layer of ours in the place of Keras's of the same name."""

import keras
import pytest


class OurLayers:
    """What a suite sees as `layers`: Keras's, but for the one that is tested."""

    def __init__(self, theirs, ours):
        self.theirs, self.ours = theirs, ours

    def __getattr__(self, name):
        return self.ours if name == self.ours.__name__ else getattr(self.theirs, name)


def with_ours(suite, layer):
    """A fixture for a class of a suite, a module of Keras's tests: it tests `layer`."""
    seen = OurLayers(suite.layers, layer)

    @pytest.fixture(autouse=True)
    def our_layer(self, monkeypatch, quick_collections):
        monkeypatch.setattr(suite, "layers", seen)
        yield
        keras.config.enable_traceback_filtering()  # each of Keras's tests turns it off

    return our_layer
