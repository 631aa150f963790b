"""Names of the arrays in a Keras file, from the layers that they belong to.

A name consists of the names of enclosing models and layers, the layer and the variable:
`efficientnetv2-b0/stem_conv/kernel`.
"""

import collections
import pathlib
from collections.abc import Iterable
from typing import Any

from keras_effnetv2.weights.files.arrays import damaged

# Number of variables of a layer -> their names; Keras 3 only numbers them.
_CONV = ("kernel", "bias")
_VARIABLES = {
    1: _CONV,
    2: _CONV,
    3: ("mean", "variance", "count"),
    4: ("gamma", "beta", "moving_mean", "moving_variance"),
}


def keras_2(paths: Iterable[str]) -> dict[str, str]:
    """`layer/layer/kernel:0` is `layer/kernel`, whatever scopes are in between.

    Models and blocks at the top have several variables of the same name; these are
    named by the rest of their path, such as `model/layer/kernel` or
    `block/layer/kernel`.
    """
    named, scoped = {}, collections.defaultdict(dict)
    for path in paths:
        top, *rest = path.partition(":")[0].split("/")
        if not rest:
            continue
        # Keras 3 calls it the kernel, also in files of this layout.
        rest[-1] = rest[-1].replace("depthwise_kernel", "kernel")
        if top in rest:
            named[path] = "/".join(rest[rest.index(top) :])
        else:
            scoped[top][path] = rest
    for top, rests in scoped.items():
        is_layer = len({rest[-1] for rest in rests.values()}) == len(rests)
        for path, rest in rests.items():
            named[path] = "/".join((top, *(rest[-1:] if is_layer else rest)))
    return named


def keras_3(path: pathlib.Path, file: Any, datasets: Iterable[str]) -> dict[str, str]:
    """`layers/CLASS_5/vars/0` is `layer/kernel`, if the file has the layer's name."""
    # Optimizers and metrics are next to the layers; in models of user-defined classes,
    # layers are at the top.
    top = "layers/" if "layers" in file else ""
    named = {}
    for dataset in datasets:
        *groups, last, number = dataset.split("/")
        is_weight = last == "vars" and groups and groups[0] != "optimizer"
        if not dataset.startswith(top) or not is_weight or "seed_generator" in groups:
            continue
        places = [groups[: i + 1] for i, group in enumerate(groups)]
        parts = [
            _layer_name(path, file, place) for place in places if place[-1] != "layers"
        ]
        variables = _variables(file["/".join((*groups, last))])
        numbers = {str(i): variable for i, variable in enumerate(variables)}
        named[dataset] = "/".join((*parts, numbers.get(number, number)))
    return named


def _variables(group: Any) -> tuple[str, ...]:
    first = group.get("0")
    if len(group) == 2 and getattr(first, "ndim", None) == 1:  # No kernel is a vector.
        return ("gamma", "beta")
    return _VARIABLES.get(len(group), ())


def _layer_name(path: pathlib.Path, file: Any, place: list[str]) -> str:
    """The name of a layer; early versions of Keras 3 only store its class."""
    variables = "/".join((*place, "vars"))
    try:
        name = file[variables].attrs.get("name") if variables in file else None
    except (OSError, TypeError, ValueError) as error:
        raise damaged(path, "HDF5", error) from None
    return name if isinstance(name, str) else place[-1]
