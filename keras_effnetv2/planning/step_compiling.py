"""Compiles a learner's training step for TPUs, without any. Only on JAX."""

import dataclasses
import re
import time
from typing import Any

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from keras_effnetv2.errors import InputError
from keras_effnetv2.planning.chips import Slice
from keras_effnetv2.planning.plans import StepCost
from keras_effnetv2.training.learner.learner import Learner
from keras_effnetv2.training.progressive.learning import set_rates
from keras_effnetv2.training.progressive.stages import Stage

_ALL_REDUCE = re.compile(r" all-reduce(?:-start)?\(")
# Two forms in which XLA reports the size of a program that does not fit.
_REFUSED = "RESOURCE_EXHAUSTED"
_USED = re.compile(r"(?:Used |HLO temporaries \()([\d.]+)([KMGT])")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def open_mesh(found: Slice) -> Mesh:
    """The devices of a slice, in a row, over which batches are divided.

    Raises:
        ValueError: there is no slice of this shape.
    """
    options: dict[str, Any] = {}
    if found.chip.config is not None:
        options["chip_config_name"] = found.chip.config
    if found.num_chips == 1:  # Otherwise a machine has four.
        options["chips_per_host_bounds"] = (1, 1, 1)
    try:
        topology = topologies.get_topology_desc(
            platform="tpu", topology_name=str(found), **options
        )
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"libtpu knows no slice {found}: {reason}. Expected one such as "
            f"{found.chip.examples}."
        ) from error
    return Mesh(np.array(topology.devices), ("batch",))


def compile_step(
    learner: Learner, mesh: Mesh, usable: float, stage: Stage, batch_size: int
) -> StepCost:
    """Compiles what Keras's `fit` would run on JAX, data-parallel over the devices.

    Args:
        learner: compiled, with its optimizer's variables.
        mesh: from `open_mesh`.
        usable: bytes of a device for the program.
        stage: stage of the training, whose rates the network gets.
        batch_size: images per step, over all devices, instead of the stage's.
    """
    start = time.perf_counter()
    same = NamedSharding(mesh, PartitionSpec())
    divided = NamedSharding(mesh, PartitionSpec("batch"))
    state = tuple(
        [jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=same) for x in variables]
        for variables in (
            learner.trainable_variables,
            learner.non_trainable_variables,
            learner.optimizer.variables,
            learner.metrics_variables,
        )
    )
    set_rates(learner.network, stage)
    images = (batch_size, stage.image_size, stage.image_size, 3)
    labels = (batch_size, learner.network.output_shape[-1])
    data = (
        jax.ShapeDtypeStruct(images, "uint8", sharding=divided),
        jax.ShapeDtypeStruct(labels, "float32", sharding=divided),
    )
    # As in Keras's `make_train_function`; each `jit` has its own function, since
    # dropout rates change between traces.
    step = jax.jit(
        lambda state, data: learner.train_step(state, data),
        donate_argnums=0,
        out_shardings=(None, same),
    )
    lowered = step.lower(state, data)
    common = (stage.index, stage.image_size, batch_size, _has_remat(learner))
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if _REFUSED not in str(error):
            raise
        cost = StepCost(*common, fits=False, used_bytes=_used_bytes(str(error)))
    else:
        cost = _read_cost(compiled, common, usable)
    return dataclasses.replace(cost, compile_seconds=time.perf_counter() - start)


def _used_bytes(refusal: str) -> int:
    """Memory that a program would need; 0 if the compiler does not tell."""
    used = _USED.search(refusal)
    return int(float(used[1]) * _UNITS[used[2]]) if used else 0


def _has_remat(learner: Learner) -> bool:
    return any(getattr(layer, "remat", False) for layer in learner.network.layers)


def _read_cost(compiled: Any, common: tuple, usable: float) -> StepCost:
    costs, memory = compiled.cost_analysis(), compiled.memory_analysis()
    used_bytes = (
        memory.argument_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.generated_code_size_in_bytes
        # Outputs reuse the memory of arguments, which the step donates.
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
    )
    return StepCost(
        *common,
        fits=used_bytes <= usable,
        flops=costs["flops"],
        moved_bytes=costs["bytes accessed"],
        argument_bytes=memory.argument_size_in_bytes,
        temporary_bytes=memory.temp_size_in_bytes,
        used_bytes=used_bytes,
        num_all_reduces=len(_ALL_REDUCE.findall(compiled.as_text())),
    )
