"""Fine-tunes a classifier on a folder of photographs, in one call.

```python
result = keras_effnetv2.finetune("photographs")
result.model, result.figures["validation_accuracy"], result.paths["predictions"]
```
"""

from keras_effnetv2 import lazy

# Imported on first use: all except plans need TensorFlow.
_MODULES = {
    "FineTuned": "outcome",
    "finetune": "procedure",
    "find_photographs": "photographs.photograph_folder",
    "survey_photographs": "photographs.survey",
}

__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
