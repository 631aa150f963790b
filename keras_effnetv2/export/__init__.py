"""Exports: SavedModel, TF Hub, TF Serving, LiteRT, ONNX, Hugging Face Hub, web pages.

```python
from keras_effnetv2 import export
export.saved_model(model, "saved_models/flowers")
```
"""

from keras_effnetv2 import lazy

# Imported on first use: each needs an engine of its own.
_MODULES = {
    "HubLayer": "tf_hub.layer",
    "fold_batch_norm": "folding",
    "hub": "tf_hub.modules",
    "hugging_face": "hf_hub.repository_files",
    "litert": "lite.lite_models",
    "onnx": "onnx_models",
    "saved_model": "saved_models",
    "serving": "tf_serving.versions",
    "web": "pages.sites",
}

__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
