"""From a folder of photographs to a classifier of them, in one call.

```python
result = keras_effnetv2.finetune("photographs")
result.model, result.figures["validation_accuracy"], result.paths["predictions"]
```
"""

from keras_effnetv2 import lazy

# Imported when they are asked for: all but plans need TensorFlow.
_MODULES = {
    "FineTuned": "outcome",
    "finetune": "procedure",
    "find_photographs": "photographs.photograph_folder",
    "survey_photographs": "photographs.survey",
}

__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
