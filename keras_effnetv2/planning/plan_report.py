"""A plan as text."""

from keras_effnetv2.planning.chips import GIB, find_slice
from keras_effnetv2.planning.plans import Largest, Plan, StepCost
from keras_effnetv2.progress import format_duration
from keras_effnetv2.tables import align

_HEADER = (
    "stage", "size", "batch", "remat", "fits", "GFLOPs", "GB moved", "arguments",
    "temporaries", "in all", "all-reduces", "arithmetic", "memory",
)  # fmt: skip


def format_plan(plan: Plan) -> str:
    """`plan` as a table, with explanations of its columns and conclusions."""
    found = find_slice(plan.device)
    chip = found.chip
    rows = [_HEADER, *(_row(plan, step) for step in plan.steps)]
    lines = [
        f"{plan.experiment} on {plan.device}, {found.num_chips} TPU chips, in "
        f"{plan.precision}. Compiled for them here, not run: these are",
        f"the compiler's figures ({plan.versions}), and none is a measurement.",
        "",
        *align(rows, num_left=0),
        "",
        "FLOPs, bytes moved and memory are per chip and step. GiB: arguments "
        "(weights, averages,",
        "optimizer, batch), temporaries, and in all, with the program; the compiler "
        f"lets it use {chip.usable / GIB:g}",
        f"(published: {chip.memory / GIB:g}). Arithmetic and memory: ms, by the "
        "published",
        f"{chip.flops / 1e12:g} TFLOP/s in bfloat16 and {chip.bandwidth / 1e9:g} GB/s "
        f"({chip.page}).",
        "Bytes that stay in a core are counted as moved: a step may take less time, "
        "and for other reasons more.",
        "",
        *_conclusions(plan),
    ]
    return "\n".join(lines)


def format_step(step: StepCost) -> str:
    """A line about a compiled step."""
    fits = "fits" if step.fits else "does not fit"
    size = f", {step.used_bytes / GIB:.2f} GiB per chip" if step.used_bytes else ""
    return (
        f"stage {step.stage + 1}, {step.image_size} pixels, batch "
        f"{step.batch_size:,}{', remat' if step.remat else ''}: {fits}{size} "
        f"(compiled in {format_duration(step.compile_seconds)})"
    )


def _row(plan: Plan, step: StepCost) -> tuple[str, ...]:
    known = bool(step.flops)
    figures = (
        _digits(step.flops / 1e9),
        _digits(step.moved_bytes / 1e9),
        f"{step.argument_bytes / GIB:.2f}",
        f"{step.temporary_bytes / GIB:.2f}",
    )
    bounds = (
        str(step.num_all_reduces),
        _digits(1000 * plan.arithmetic_seconds(step)),
        _digits(1000 * plan.memory_seconds(step)),
    )
    return (
        str(step.stage + 1),
        str(step.image_size),
        f"{step.batch_size:,}",
        _yes_or_no(step.remat),
        _yes_or_no(step.fits),
        *(figures if known else "-" * len(figures)),
        f"{step.used_bytes / GIB:.2f}" if step.used_bytes else "-",
        *(bounds if known else "-" * len(bounds)),
    )


def _conclusions(plan: Plan) -> list[str]:
    first = plan.steps[0]
    lines = []
    if first.flops:
        by_memory = plan.memory_seconds(first) > plan.arithmetic_seconds(first)
        seconds = plan.step_seconds(first)
        lines.append(
            f"Stage {first.stage + 1} is bound by "
            f"{'memory' if by_memory else 'arithmetic'}: about {1000 * seconds:.1f} "
            f"ms per step, {first.batch_size / seconds:,.0f} images/s."
        )
    asked = [step for step in plan.steps if step.remat == first.remat]
    whole = {step.stage: step for step in reversed(asked) if step.flops}
    if len(whole) == len(plan.epochs):
        seconds = sum(
            plan.num_images / whole[stage].batch_size * epochs
            * plan.step_seconds(whole[stage])
            for stage, epochs in enumerate(plan.epochs)
        )  # fmt: skip
        lines.append(
            f"All {sum(plan.epochs)} epochs take about {format_duration(seconds)}, "
            "without evaluation, if images come fast enough."
        )
    lines += [_describe_largest(largest) for largest in plan.largest]
    return lines


def _describe_largest(largest: Largest) -> str:
    what = f"Largest batch of stage {largest.stage + 1}"
    what += f", model.remat={'true' if largest.remat else 'false'}: "
    if not largest.batch_size:
        return f"{what}none fits, not even one of {largest.too_large:,}."
    text = f"{what}{largest.batch_size:,} fits"
    if largest.too_large is not None:
        text += f", {largest.too_large:,} does not"
    return f"{text}."


def _digits(number: float) -> str:
    """Four digits, or all before the decimal point."""
    places = max(0, 4 - len(str(int(number)))) if number >= 1 else 3
    return f"{number:,.{places}f}"


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"
