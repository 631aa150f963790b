"""Images: sources, decoding, evaluation crops, augmentation, and batches of them.

```python
source = data.open_source("folder", "train", directory="flowers")
image, label = source.read(0)  # Encoded bytes, and the number of the class.
```
"""

from keras_effnetv2 import lazy

# Imported on first use: all need TensorFlow.
_MODULES = {
    "Augmenter": "augmentation.augmenter",
    "AutoAugment": "augmentation.autoaugment",
    "DecodeErrors": "decode_errors",
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
