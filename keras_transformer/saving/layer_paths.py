"""Names for the layers inside a model and for their weights: decoder/layer_0/self_attention.

Keras's own paths begin with the model's name, and say where a layer was built.
"""

import keras


def layer_paths(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """The layers inside a model that have weights.

    Args:
        model: a built model.

    Returns:
        {path: layer}: the names on the way from the model down, joined by "/"; outer layers before inner
        ones. A layer that has two places, an embedding that is shared, is there once.
    """
    found = {}

    def walk(layer, path):
        # No public name lists the layers of a layer.
        inner = layer._flatten_layers(include_self=False, recursive=False)
        for child in sorted(inner, key=lambda child: child.name):
            if child.weights and child not in found.values():
                found[f"{path}{child.name}"] = child
                walk(child, f"{path}{child.name}/")

    walk(model, "")
    return found


def weight_paths(model: keras.Model) -> dict[str, keras.Variable]:
    """The weights of a built model, {path: variable}: the path of the innermost layer, "/", and the name.

    Of the model's own weights, which are in none of its layers, the name alone.
    """
    owners = {id(variable): (variable.name, variable) for variable in model.weights}
    for path, layer in layer_paths(model).items():  # inner layers come later and have the last word
        owners |= {id(variable): (f"{path}/{variable.name}", variable) for variable in layer.weights}
    return dict(owners.values())
