"""Plans for TPUs that were compiled, for the guide on scale."""

from plan_table import read_plans

from keras_effnetv2.planning.chips import GIB, find_slice
from keras_effnetv2.planning.plans import StepCost
from tables.marked_blocks import table

_HEAD = (
    "Experiment", "Device", "Pixels", "Global batch", "Batch per chip",
    "Memory per chip, GiB", "Fits", "Compiled in, min",
)  # fmt: skip


def plan_rows() -> str:
    """A line for each plan in examples/plans.json."""
    rows = [_HEAD]
    for (experiment, device), plan in read_plans().items():
        step, found = plan.steps[0], find_slice(device)
        batches = f"{step.batch_size:,}", f"{step.batch_size // found.num_chips:,}"
        sizes = str(step.image_size), *batches, _memory(step, found.chip.usable)
        fits = "yes" if step.fits else "no"
        minutes = f"{step.compile_seconds / 60:.0f}"
        rows.append((f"`{experiment}`", f"`{device}`", *sizes, fits, minutes))
    return table(rows, "  rrrr r")


def _memory(step: StepCost, usable: float) -> str:
    """For arguments and temporaries, or in all, of what a program may use."""
    parts = [step.argument_bytes, step.temporary_bytes] if step.flops else []
    parts = parts or [step.used_bytes]
    used = " + ".join(f"{part / GIB:.2f}" for part in parts)
    return f"{used} of {usable / GIB:g}"
