"""Training-aware architecture search: the space, rewards, samplers, scaling.

```python
experiment = search.get_search("digits-search")
study = search.open_search(experiment, "runs/digits.journal")
search.run_search(experiment, study)
found = search.write_found(experiment, study, "runs/digits")
series = search.scale_series(found.variant)
```
"""

from keras_effnetv2 import lazy

# Imported on first use: a space needs neither TensorFlow nor Optuna.
_MODULES = {
    "CostTable": "costs.table",
    "SAMPLERS": "sampling.samplers",
    "SERIES": "scaling",
    "Scale": "scaling",
    "SearchExperiment": "named_searches",
    "Space": "sampling.space",
    "check_search": "searches",
    "compound": "scaling",
    "confirm": "searches",
    "count_costs": "costs.series",
    "format_costs": "costs.series",
    "get_search": "named_searches",
    "measure_costs": "costs.series",
    "measure_step_times": "costs.step_time",
    "open_search": "searches",
    "read_results": "results.trials",
    "run_search": "searches",
    "scale": "scaling",
    "scale_series": "scaling",
    "write_found": "searches",
}

__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES, extra="search")
