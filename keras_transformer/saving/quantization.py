"""Quantized layers inside a layer or a model: what its file has to say of them."""

import gc
from typing import Any

import keras

from keras_transformer.saving.layer_paths import layer_paths


class KeepsQuantization:
    """Mixed into a layer or a model: `class MyLayer(KeepsQuantization, keras.layers.Layer)`.

    `model.quantize` changes the layers inside, and an outer layer that makes them in `build` has no word of
    it in its configuration: Keras would load it with float32 layers inside, which have other variables. Its
    own MultiHeadAttention fails so, too. Here the build configuration says it.
    """

    def get_build_config(self) -> dict[str, Any] | None:
        config = super().get_build_config()
        quantized = {
            path: {
                "mode": layer.quantization_mode,
                "config": keras.saving.serialize_keras_object(layer.quantization_config),
            }
            for path, layer in layer_paths(self).items()
            if layer.quantization_mode is not None and hasattr(layer, "quantization_config")
        }
        return {**config, "quantized": quantized} if config and quantized else config

    def build_from_config(self, config: dict[str, Any]) -> None:
        super().build_from_config({name: value for name, value in config.items() if name != "quantized"})
        if "quantized" in config:
            layers = layer_paths(self)
            gc.freeze()  # Keras collects garbage after each layer, which takes 0.2 seconds beside TensorFlow
            try:
                for path, chosen in config["quantized"].items():
                    how = keras.saving.deserialize_keras_object(chosen["config"])
                    if layers[path].quantization_mode is None:  # else its own configuration said it
                        layers[path].quantize(chosen["mode"], config=how)
            finally:
                gc.unfreeze()
