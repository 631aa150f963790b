"""Registers names in `.keras` files of classes whose modules are not imported yet.

A class registers itself with Keras when its module is imported, which for most of the
package is on first use. Until then this module registers placeholders that import it,
so that a process that has only imported the package can load every file.
"""

import importlib
from typing import Any

_OPTIMIZERS = (
    "Adam",
    "AdamW",
    "RMSpropOfTensorFlow1",
    "LayerWise(Adam)",
    "LayerWise(AdamW)",
    "LayerWise(RMSpropOfTensorFlow1)",
    "LayerWise(SGD)",
)
# Module -> names that it registers.
_CLASSES = {
    "layers.activations": ("FastActivation",),
    "layers.normalization.batch_norm": ("BatchNorm",),
    "layers.blocks": ("FusedMBConv", "MBConv"),
    "layers.convolutions": ("Conv2D", "DepthwiseConv"),
    "layers.global_context": ("GlobalContext",),
    "layers.inputs.pixels": ("PixelNormalization",),
    "layers.squeeze_excite": ("SqueezeExcite",),
    "layers.stochastic_depth": ("StochasticDepth",),
    "networks.functional": ("EfficientNet",),
    "optimizers": _OPTIMIZERS,
    "training.learner.schedules": ("WarmUp", "PerStage"),
    "export.folding": ("FoldedBatchNorm",),
    "export.tf_hub.layer": ("HubLayer",),
}


def register_all() -> None:
    """Lets Keras find every class of the package by the name that files have for it."""
    import keras

    registry = keras.saving.get_custom_objects()
    # Its name in .h5 files of whole models, where Keras leaves the package out.
    registry.setdefault(
        "EfficientNet", _Unimported("networks.functional", "EfficientNet")
    )
    for module, names in {
        **_CLASSES,
        "training.devices.replicas": _aggregating(),
    }.items():
        for name in names:
            key = f"keras_effnetv2>{name}"
            registry.setdefault(key, _Unimported(module, key))


def _aggregating() -> list[str]:
    """Names of the classes of `training.sum_before_clipping`, two per optimizer."""
    import keras

    base = keras.optimizers.Optimizer
    found = {x for x in vars(keras.optimizers).values() if isinstance(x, type)}
    kinds = [kind.__name__ for kind in found if issubclass(kind, base)]
    kinds += [f"keras_effnetv2>{name}" for name in _OPTIMIZERS]
    mixins = ("SummedFirst", "NotSummed")
    return ["OfUser", *(f"{mixin}({kind})" for mixin in mixins for kind in kinds)]


class _Unimported:
    """A placeholder for a class, from which Keras makes instances."""

    def __init__(self, module: str, key: str) -> None:
        self.module = module
        self.key = key

    def from_config(self, config: dict[str, Any]) -> Any:
        """An instance of the class, which is imported and replaces this one."""
        import keras

        importlib.import_module(f"keras_effnetv2.{self.module}")
        return keras.saving.get_custom_objects()[self.key].from_config(config)
