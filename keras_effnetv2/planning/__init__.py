"""Plans what training would take on TPUs, with their compiler but without TPUs.

```python
plan = planning.plan(get_experiment("imagenet-s"), "v5e:4x4")
print(planning.format_plan(plan))
```
"""

from keras_effnetv2 import lazy

_MODULES = {
    "CHIPS": "chips",
    "Plan": "plans",
    "StepCost": "plans",
    "format_plan": "plan_report",
    "plan": "process",
}

__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES, extra="plan")
