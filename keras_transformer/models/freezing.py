"""Layers that are kept from training."""

import fnmatch
from collections.abc import Sequence
from typing import Any

from keras_transformer.saving.layer_paths import layer_paths
from keras_transformer.saving.quantization import KeepsQuantization


class Freezable(KeepsQuantization):
    """Mixed into a `keras.Model`: `class MyModel(Freezable, keras.Model)`."""

    def freeze(self, patterns: Sequence[str]) -> None:
        """Keeps layers from training; call it before `compile`. A saved model remembers it.

        Args:
            patterns: names of layers, those inside after a "/", in which * and ? stand for any characters:
                "encoder", "decoder/layer_0", "decoder/layer_*/feed_forward". What is inside a layer freezes
                with it.

        Raises:
            ValueError: a pattern fits no layer with weights, or nothing is left to train.
        """
        if not self.built:
            self.build()
        layers = layer_paths(self)
        for pattern in patterns:
            fitting = fnmatch.filter(layers, pattern)
            if not fitting:
                names = [path for path in layers if path.count("/") < 2]
                raise ValueError(
                    f"What is frozen must be a layer, or a layer inside one: {', '.join(names)}. "
                    f"Received: {pattern!r}."
                )
            for path in fitting:
                layers[path].trainable = False
        if patterns and not self.trainable_variables:
            raise ValueError(f"Something must be left to train. Received: {list(patterns)} to freeze.")

    def get_build_config(self) -> dict[str, Any] | None:
        config = super().get_build_config()
        # Keras saves this of a model's own arguments only: without it, an optimizer's state would not fit.
        frozen = [path for path, layer in layer_paths(self).items() if not layer.trainable]
        return {**config, "frozen": frozen} if config and frozen else config

    def build_from_config(self, config: dict[str, Any]) -> None:
        super().build_from_config({name: value for name, value in config.items() if name != "frozen"})
        if "frozen" in config:
            for path, layer in layer_paths(self).items():  # outer layers first: each sets those inside
                layer.trainable = path not in config["frozen"]
