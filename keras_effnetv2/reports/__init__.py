"""Reports on a run's network, in one HTML file: `write_report(workdir)`.

```python
path = reports.write_report("runs/digits", tta=True)
```
"""

from keras_effnetv2 import lazy

_MODULES = {
    "DataSurvey": "data_survey",
    "fit_temperature": "calibration",
    "write_report": "writing",
}

__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
