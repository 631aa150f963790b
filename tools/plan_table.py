"""The costs of a training step of each EfficientNetV2 on TPUs, by their compiler.

    python tools/plan_table.py --variants b0 s --chips v5e
    python tools/plan_table.py

Compiles the variants asked for, each of which takes 5 to 20 minutes of a processor core
for a slice, stores results in examples/plans.json, and writes them all as a table to
examples/plans.md; without flags, only the latter. It needs the extra `plan`.
"""

import argparse
import dataclasses
import itertools
import json
import pathlib
import time

from tables.marked_blocks import table
from tables.result_files import write_results

from keras_effnetv2 import planning
from keras_effnetv2.planning.chips import GIB, find_slice
from keras_effnetv2.planning.plan_report import format_step
from keras_effnetv2.planning.plans import Plan
from keras_effnetv2.training.experiments.named import get_experiment

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
PLANS, TABLE = EXAMPLES / "plans.json", EXAMPLES / "plans.md"
# The experiment that trains each variant.
VARIANTS = {
    **{size: f"imagenet-{size}" for size in ("b0", "b1", "b2", "b3", "s", "m", "l")},
    "xl": "imagenet21k-xl",
}
# 16 chips of each.
SLICES = {"v5e": "v5e:4x4", "v5p": "v5p:2x2x4", "v6e": "v6e:4x4"}
PAIRS = [*itertools.product(VARIANTS.values(), SLICES.values())]
_HEADER = (
    "Experiment", "Device", "Pixels", "Batch", "TFLOPs", "GB moved", "Arguments, GiB",
    "Temporaries, GiB", "Of", "Fits", "All-reduces", "Arithmetic, ms", "Memory, ms",
    "Images/s, about",
)  # fmt: skip
_TITLE = """# Training steps on TPUs, by their compiler

`python tools/plan_table.py` has written this from `plans.json`. Each row is the largest
stage of an unchanged experiment, data-parallel over 16 chips:
`python -m keras_effnetv2 plan --experiment EXPERIMENT --device DEVICE --quick`. Nothing
was run on a TPU: the compiler's figures are those of one chip in one step. Times are
what arithmetic and memory would take at the published speeds of the chip, if every byte
that an operation reads or writes went through memory.

"""


def compile_rows(variants: list[str], chips: list[str]) -> None:
    """Adds plans to both files, one by one."""
    for variant in variants:
        for chip in chips:
            name, device = VARIANTS[variant], SLICES[chip]
            start = time.perf_counter()
            plan = planning.plan(get_experiment(name), device, quick=True)
            print(f"{name} on {device}: {format_step(plan.steps[0])}", flush=True)
            print(f"  {time.perf_counter() - start:.0f} s in all", flush=True)
            plans = read_plans()
            plans[name, device] = plan
            rows = [dataclasses.asdict(plans[key]) for key in sorted(plans)]
            write_results(PLANS, rows)
            TABLE.write_text(page())


def read_plans() -> dict[tuple[str, str], Plan]:
    """By experiment and device, in the order of `PAIRS`."""
    rows = json.loads(PLANS.read_text()) if PLANS.exists() else []
    plans = {(x.experiment, x.device): x for x in map(Plan.from_values, rows)}
    return {pair: plans[pair] for pair in PAIRS if pair in plans}


def page() -> str:
    """A table with a row for each plan; the others are counted."""
    plans = read_plans()
    rows = [(f"`{name}`", device, *_cells(x)) for (name, device), x in plans.items()]
    parts = [table([_HEADER, *rows], "  rrrrrrr rrrr")]
    if others := len(PAIRS) - len(plans):
        parts += [f"{others} other pairs of experiment and slice are not compiled."]
    versions = sorted({plan.versions for plan in plans.values()})
    parts = [f"{_TITLE}Compiled with {'; '.join(versions)}.", *parts]
    return "\n\n".join(parts) + "\n"


def _cells(plan: Plan) -> tuple[str, ...]:
    step, chip = plan.steps[0], find_slice(plan.device).chip
    usable = f"{chip.usable / GIB:g}"
    start = str(step.image_size), f"{step.batch_size:,}"
    if not step.flops:
        return (*start, "-", "-", "-", "-", usable, "no", "-", "-", "-", "-")
    return (
        *start,
        f"{step.flops / 1e12:.3f}",
        f"{step.moved_bytes / 1e9:.1f}",
        f"{step.argument_bytes / GIB:.2f}",
        f"{step.temporary_bytes / GIB:.2f}",
        usable,
        "yes" if step.fits else "no",
        str(step.num_all_reduces),
        f"{1000 * plan.arithmetic_seconds(step):.1f}",
        f"{1000 * plan.memory_seconds(step):.1f}",
        f"{step.batch_size / plan.step_seconds(step):,.0f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=[])
    parser.add_argument("--chips", nargs="+", choices=SLICES, default=[*SLICES])
    args = parser.parse_args()
    compile_rows(args.variants, args.chips)
    TABLE.write_text(page())


if __name__ == "__main__":
    main()
