"""Plans for TPUs that were compiled, for the guide on scale."""

from plan_table import read_plans

from keras_effnetv2.planning.chips import GIB, find_slice
from tables.marked_blocks import table

_HEAD = (
    "Experiment", "Device", "Pixels", "Global batch", "Batch per chip",
    "Memory per chip, GiB", "Fits",
)  # fmt: skip


def plan_rows() -> str:
    """A line for each plan in examples/plans.json: arguments, temporaries, room."""
    rows = [_HEAD]
    for (experiment, device), plan in sorted(read_plans().items()):
        step, found = plan.steps[0], find_slice(device)
        room = found.chip.usable / GIB
        parts = f"{step.argument_bytes / GIB:.2f} + {step.temporary_bytes / GIB:.2f}"
        batches = f"{step.batch_size:,}", f"{step.batch_size // found.num_chips:,}"
        sizes = str(step.image_size), *batches, f"{parts} of {room:g}"
        fits = "yes" if step.fits else "no"
        rows.append((f"`{experiment}`", f"`{device}`", *sizes, fits))
    return table(rows, "  rrrr")
