"""EfficientNetV2 for Keras 3: networks, weights, training, search, exports."""

from typing import TYPE_CHECKING

from keras_effnetv2 import lazy, registration
from keras_effnetv2.version import __version__

if TYPE_CHECKING:  # What editors and type checkers see of the names below.
    from keras_effnetv2.classification.classifying import Classifier
    from keras_effnetv2.classification.predictions import Prediction
    from keras_effnetv2.commands.shared.noise import drop_noise
    from keras_effnetv2.explanation.activation_maps import class_activation_maps
    from keras_effnetv2.export.hf_hub.pushing import push_to_hub
    from keras_effnetv2.finetuning.outcome import FineTuned
    from keras_effnetv2.finetuning.procedure import finetune
    from keras_effnetv2.inference import CompiledModel, compile_for_inference
    from keras_effnetv2.layers.nesting import inner_layers
    from keras_effnetv2.models import (
        EfficientNetV2B0,
        EfficientNetV2B1,
        EfficientNetV2B2,
        EfficientNetV2B3,
        EfficientNetV2L,
        EfficientNetV2M,
        EfficientNetV2S,
        EfficientNetV2XL,
        create_model,
    )
    from keras_effnetv2.networks.architecture import BlockSpec, Variant
    from keras_effnetv2.networks.transfer import feature_pyramid, freeze, name_classes
    from keras_effnetv2.networks.variant_files import write_variant
    from keras_effnetv2.networks.variants import fuse_stages, get_variant
    from keras_effnetv2.preprocessing import Preprocessing, preprocess_input
    from keras_effnetv2.weights.labels import decode_predictions
    from keras_effnetv2.weights.releases import list_variants

# Imported on first use: Keras and TensorFlow take seconds to import, and much of the
# command line works without them.
_MODULES = {
    "BlockSpec": "networks.architecture",
    "Classifier": "classification.classifying",
    "CompiledModel": "inference",
    "EfficientNetV2B0": "models",
    "EfficientNetV2B1": "models",
    "EfficientNetV2B2": "models",
    "EfficientNetV2B3": "models",
    "EfficientNetV2L": "models",
    "EfficientNetV2M": "models",
    "EfficientNetV2S": "models",
    "EfficientNetV2XL": "models",
    "FineTuned": "finetuning.outcome",
    "Prediction": "classification.predictions",
    "Preprocessing": "preprocessing",
    "Variant": "networks.architecture",
    "class_activation_maps": "explanation.activation_maps",
    "compile_for_inference": "inference",
    "create_model": "models",
    "decode_predictions": "weights.labels",
    "drop_noise": "commands.shared.noise",
    "feature_pyramid": "networks.transfer",
    "finetune": "finetuning.procedure",
    "freeze": "networks.transfer",
    "fuse_stages": "networks.variants",
    "get_variant": "networks.variants",
    "inner_layers": "layers.nesting",
    "list_variants": "weights.releases",
    "name_classes": "networks.transfer",
    "preprocess_input": "preprocessing",
    "push_to_hub": "export.hf_hub.pushing",
    "write_variant": "networks.variant_files",
}
_PACKAGES = {
    name: name
    for name in (
        "classification", "data", "errors", "explanation", "export", "finetuning",
        "layers", "models", "optimizers", "planning", "preprocessing", "profiling",
        "reports", "search", "training",
    )
}  # fmt: skip

__all__ = [
    "BlockSpec",
    "Classifier",
    "CompiledModel",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "EfficientNetV2XL",
    "FineTuned",
    "Prediction",
    "Preprocessing",
    "Variant",
    "__version__",
    "class_activation_maps",
    "compile_for_inference",
    "create_model",
    "decode_predictions",
    "drop_noise",
    "feature_pyramid",
    "finetune",
    "freeze",
    "fuse_stages",
    "get_variant",
    "inner_layers",
    "list_variants",
    "name_classes",
    "preprocess_input",
    "push_to_hub",
    "write_variant",
]

lazy.call_after_import("keras", registration.register_all)
__getattr__ = lazy.attributes(__name__, _MODULES | _PACKAGES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
