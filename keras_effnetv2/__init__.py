"""EfficientNetV2 for Keras 3: networks, weights, training, search, exports."""

from keras_effnetv2 import lazy
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
from keras_effnetv2.networks.variants import fuse_stages, get_variant, list_variants
from keras_effnetv2.preprocessing import Preprocessing, preprocess_input
from keras_effnetv2.registration import register_all
from keras_effnetv2.version import __version__
from keras_effnetv2.weights.labels import decode_predictions

# Imported when they are asked for: they need much that networks do not.
_MODULES = {
    "Classifier": "classification.classifying",
    "Prediction": "classification.predictions",
    "class_activation_maps": "explanation.activation_maps",
    "classification": "classification",
    "data": "data",
    "explanation": "explanation",
    "export": "export",
    "layers": "layers",
    "optimizers": "optimizers",
    "profiling": "profiling",
    "push_to_hub": "export.hf_hub.pushing",
    "search": "search",
    "training": "training",
}

__all__ = [
    "BlockSpec",
    "Classifier",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "EfficientNetV2XL",
    "Prediction",
    "Preprocessing",
    "Variant",
    "__version__",
    "class_activation_maps",
    "create_model",
    "decode_predictions",
    "feature_pyramid",
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

register_all()
lazy.find_moved_modules()
__getattr__ = lazy.attributes(__name__, _MODULES)
