"""Explains where in an image a classifier sees a class.

```python
maps = explanation.class_activation_maps(model, images, classes)
explanation.draw_heat_maps("why.png", ...)
```
"""

from keras_effnetv2 import lazy

_MODULES = {
    "class_activation_maps": "activation_maps",
    "draw_heat_maps": "heat_maps",
}

__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
