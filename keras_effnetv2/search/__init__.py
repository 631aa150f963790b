"""Training-aware architecture search: the space, rewards, engines, scaling.

experiment = search.get_search("digits-search")
study = search.open_search(experiment, "runs/digits.journal")
search.run_search(experiment, study)
found = search.write_found(experiment, study, "runs/digits")
series = search.scale_series(found.variant)
"""

import importlib
from typing import Any

from keras_effnetv2.errors import MissingPackageError

# Imported when they are asked for: a space needs neither TensorFlow nor Optuna.
_MODULES = {
    "CostTable": "cost_table",
    "SERIES": "scaling",
    "Scale": "scaling",
    "SearchExperiment": "experiments",
    "Space": "space",
    "check_search": "run",
    "compound": "scaling",
    "confirm": "run",
    "count_costs": "series_costs",
    "format_costs": "series_costs",
    "get_search": "experiments",
    "measure_costs": "series_costs",
    "measure_step_times": "step_time",
    "open_search": "run",
    "read_results": "results",
    "run_search": "run",
    "scale": "scaling",
    "scale_series": "scaling",
    "write_found": "run",
}
_NEEDED = ("filelock", "matplotlib", "optuna")

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"{__name__} has no attribute {name!r}.")
    try:
        module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        raise MissingPackageError(
            f"A search needs {error.name}: pip install keras_effnetv2[search]."
        ) from error
    return getattr(module, name)
