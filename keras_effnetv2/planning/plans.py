"""Results of compiling training steps, without running them, as plain numbers."""

import dataclasses
from typing import Any

from keras_effnetv2.planning.chips import find_slice


@dataclasses.dataclass(frozen=True)
class StepCost:
    """A compiled training step, per device.

    Attributes:
        stage: stage of the training, from 0.
        image_size: side, pixels.
        batch_size: images per step, over all devices.
        remat: whether results between convolutions are recomputed.
        fits: whether it fits. If the compiler refused it, all figures are 0 except
            `used_bytes`, which is 0 if it gave no reason.
        flops: floating-point operations.
        moved_bytes: bytes that operations read and write, whether or not they stay in a
            core.
        argument_bytes: variables of the learner, and the batch.
        temporary_bytes: temporary results within the step.
        used_bytes: total, including the program: this has to fit.
        num_all_reduces: all-reduces between all devices.
        compile_seconds: time of compiling here.
    """

    stage: int
    image_size: int
    batch_size: int
    remat: bool
    fits: bool
    flops: float = 0.0
    moved_bytes: float = 0.0
    argument_bytes: int = 0
    temporary_bytes: int = 0
    used_bytes: int = 0
    num_all_reduces: int = 0
    compile_seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Largest:
    """The largest batch that fits, found by compiling.

    Attributes:
        stage: stage of the training, from 0.
        remat: as in `StepCost`.
        batch_size: the largest that fits; 0 if none was found.
        too_large: the smallest that was found not to fit; None if none was tried.
    """

    stage: int
    remat: bool
    batch_size: int
    too_large: int | None


@dataclasses.dataclass(frozen=True)
class Plan:
    """The steps of a training run on a slice.

    Attributes:
        experiment: its name.
        device: the slice, such as "v5e:4x4".
        precision: precision of the network.
        num_images: number of training images.
        epochs: epochs of each stage of the training, compiled or not.
        steps: all compiled steps, the largest stage's first.
        largest: largest batches of the largest stage.
        versions: versions of the compiler.
    """

    experiment: str
    device: str
    precision: str
    num_images: int
    epochs: tuple[int, ...]
    steps: tuple[StepCost, ...]
    largest: tuple[Largest, ...]
    versions: str

    def arithmetic_seconds(self, step: StepCost) -> float:
        """Minimum time of a step by the chip's published operations per second."""
        return step.flops / find_slice(self.device).chip.flops

    def memory_seconds(self, step: StepCost) -> float:
        """Time of moving a step's bytes at the published memory bandwidth.

        The compiler also counts bytes that stay in the cores: a step may take less.
        """
        return step.moved_bytes / find_slice(self.device).chip.bandwidth

    def step_seconds(self, step: StepCost) -> float:
        """The longer of both: an estimate, as nothing was measured."""
        return max(self.arithmetic_seconds(step), self.memory_seconds(step))

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Plan":
        """The inverse of `dataclasses.asdict`."""
        return cls(
            **values
            | {
                "epochs": tuple(values["epochs"]),
                "steps": tuple(StepCost(**x) for x in values["steps"]),
                "largest": tuple(Largest(**x) for x in values["largest"]),
            }
        )
