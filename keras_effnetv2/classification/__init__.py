"""Classifies images from files, folders, pixels and streams, with any network.

```python
classify = keras_effnetv2.Classifier("efficientnetv2-s")
print(classify("photograph.jpg"))
```
"""

from keras_effnetv2 import lazy

# Imported on first use: all need TensorFlow.
_MODULES = {
    "Classifier": "classifying",
    "Explanation": "explanations",
    "Prediction": "predictions",
}

__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
