"""Finds layers within layers."""

import keras

from keras_effnetv2.private_apis import sublayers


def inner_layers(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Every layer inside `model`, at any depth, each once.

    `model.layers` stops at blocks and nested models; here their own layers follow them.
    For loops over all layers:

        for layer in keras_effnetv2.inner_layers(model):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False

    Args:
        model: a model, or any layer that contains others, such as a block.

    Returns:
        The layers in the order of the network, without `model` itself.
    """
    found: dict[int, keras.layers.Layer] = {}

    def add(outer: keras.layers.Layer) -> None:
        for layer in sublayers(outer):
            if id(layer) not in found:
                found[id(layer)] = layer
                add(layer)

    add(model)
    return list(found.values())
