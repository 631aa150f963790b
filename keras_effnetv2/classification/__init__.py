"""Images to classes, by whatever holds the network: files, folders, pixels, streams.

```python
classify = keras_effnetv2.Classifier("efficientnetv2-s")
print(classify("photograph.jpg"))
```
"""

from keras_effnetv2 import lazy

# Imported when they are asked for: all need TensorFlow.
_MODULES = {
    "Classifier": "classifying",
    "Explanation": "explanations",
    "Prediction": "predictions",
}

__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
