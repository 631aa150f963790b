"""Images: sources, decoding, evaluation crops, augmentation, and batches of them.

```python
source = data.open_source("folder", "train", name="flowers", num_classes=5)
batches = data.evaluation_batches(source, model.preprocessing, batch_size=32)
```
"""

from keras_effnetv2 import lazy

# Imported when they are asked for: all need TensorFlow.
_MODULES = {
    "Augmenter": "augmentation.augmenter",
    "AutoAugment": "augmentation.autoaugment",
    "Mixing": "augmentation.mixing",
    "RandAugment": "augmentation.randaugment",
    "RandomCrop": "augmentation.random_cropping",
    "RandomCutout": "augmentation.random_cropping",
    "Source": "sources",
    "evaluation_batches": "pipeline",
    "evaluation_image": "decoding.cropping",
    "images": "decoding.images",
    "open_source": "sources",
    "pack": "packing.packing",
    "training_batches": "pipeline",
}

__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
