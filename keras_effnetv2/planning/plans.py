"""What is known of a training that was compiled and not run, as plain numbers."""

import dataclasses
from typing import Any

from keras_effnetv2.planning.chips import find_slice


@dataclasses.dataclass(frozen=True)
class StepCost:
    """A training step as the compiler has made it, on each device.

    Attributes:
        stage: of the training, from 0.
        image_size: side, pixels.
        batch_size: images a step, over all devices.
        remat: whether what lies between convolutions is computed again.
        fits: whether it has room. If the compiler has refused it, all figures are 0 but
            `used_bytes`, and that is 0 where it has not said why.
        flops: floating-point operations.
        moved_bytes: that operations read and write, whether or not they stay in a core.
        argument_bytes: variables of the learner, and the batch.
        temporary_bytes: what is made and no longer needed after the step.
        used_bytes: of all together, program included: what has to fit.
        num_all_reduces: exchanges between all devices.
        compile_seconds: that this took here.
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
        stage: of the training, from 0.
        remat: as in `StepCost`.
        batch_size: it fits; 0 where none was found.
        too_large: the smallest that was found not to fit; None where none was tried.
    """

    stage: int
    remat: bool
    batch_size: int
    too_large: int | None


@dataclasses.dataclass(frozen=True)
class Plan:
    """A training's steps on a slice.

    Attributes:
        experiment: its name.
        device: of the slice, such as "v5e:4x4".
        precision: of the network.
        num_images: to train on.
        epochs: of each stage of the training, compiled or not.
        steps: every step that was compiled, the largest stage's first.
        largest: of the largest stage.
        versions: of the compiler.
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
        """Least time of a step by the chip's published operations a second."""
        return step.flops / find_slice(self.device).chip.flops

    def memory_seconds(self, step: StepCost) -> float:
        """Time of a step's bytes by the published bandwidth of the chip's memory.

        The compiler counts bytes that stay in the cores too: a step may take less.
        """
        return step.moved_bytes / find_slice(self.device).chip.bandwidth

    def step_seconds(self, step: StepCost) -> float:
        """The longer of both: an estimate, as nothing was measured."""
        return max(self.arithmetic_seconds(step), self.memory_seconds(step))

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Plan":
        """The plan that `dataclasses.asdict` has made these values of."""
        return cls(
            **values
            | {
                "epochs": tuple(values["epochs"]),
                "steps": tuple(StepCost(**x) for x in values["steps"]),
                "largest": tuple(Largest(**x) for x in values["largest"]),
            }
        )
