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
    "CostTable": "costs.table",
    "SERIES": "scaling",
    "Scale": "scaling",
    "SearchExperiment": "named",
    "Space": "sampling.space",
    "check_search": "searches",
    "compound": "scaling",
    "confirm": "searches",
    "count_costs": "costs.series",
    "format_costs": "costs.series",
    "get_search": "named",
    "measure_costs": "costs.series",
    "measure_step_times": "costs.step_time",
    "open_search": "searches",
    "read_results": "results.trials",
    "run_search": "searches",
    "scale": "scaling",
    "scale_series": "scaling",
    "write_found": "searches",
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
