"""A plan as text: worked numbers, and whose they are."""

import dataclasses
import json

import pytest

from keras_effnetv2.errors import InputError
from keras_effnetv2.planning import format_plan, process
from keras_effnetv2.planning.chips import GIB
from keras_effnetv2.planning.plan_report import format_step
from keras_effnetv2.planning.plans import Largest, Plan, StepCost

# A tenth of a second of arithmetic, two of memory, on a v5e.
STEP = StepCost(
    stage=1,
    image_size=300,
    batch_size=4096,
    remat=False,
    fits=True,
    flops=197e11,
    moved_bytes=2 * 819e8,
    argument_bytes=GIB // 2,
    temporary_bytes=8 * GIB,
    used_bytes=9 * GIB,
    num_all_reduces=237,
)
PLAN = Plan(
    experiment="imagenet-s",
    device="v5e:4x4",
    precision="mixed_bfloat16",
    num_images=409_600,
    epochs=(50, 50),
    steps=(STEP,),
    largest=(Largest(1, False, 6144, None), Largest(1, True, 8192, 8704)),
    versions="libtpu 1, jax 2",
)


def first_row(text):
    lines = text.splitlines()
    header = next(i for i, line in enumerate(lines) if "stage" in line)
    return " ".join(lines[header + 1].split())


def test_bounds_follow_from_the_published_figures():
    text = format_plan(PLAN)
    assert first_row(text) == (
        "2 300 4,096 no yes 19,700 163.8 0.50 8.00 9.00 237 100.0 200.0"
    )
    assert "Stage 2 is bound by memory: about 200.0 ms per step, 20,480 im" in text
    assert "none is a measurement" in text and "libtpu 1, jax 2" in text
    assert "197 TFLOP/s in bfloat16 and 819 GB/s" in text
    assert "model.remat=false: 6,144 fits." in text
    assert "model.remat=true: 8,192 fits, 8,704 does not." in text


def test_all_stages_give_the_least_time_of_the_training():
    assert "epochs take" not in format_plan(PLAN)
    first = dataclasses.replace(STEP, stage=0, moved_bytes=0.0)
    text = format_plan(dataclasses.replace(PLAN, steps=(STEP, first)))
    # 50 epochs of 100 steps: 5,000 of 0.2 s and as many of 0.1 s.
    assert "All 100 epochs take about 25:00" in text


def test_what_the_compiler_refuses_has_no_figures_but_its_size():
    refused = StepCost(1, 300, 8192, False, fits=False, used_bytes=17 * GIB)
    none = Largest(1, False, 0, 16)
    plan = dataclasses.replace(PLAN, steps=(refused,), largest=(none,))
    text = format_plan(plan)
    assert first_row(text) == "2 300 8,192 no no - - - - 17.00 - - -"
    assert "none fits, not even one of 16." in text and "bound" not in text


def test_each_compiled_step_is_a_line():
    step = dataclasses.replace(STEP, compile_seconds=75.0)
    assert format_step(step) == (
        "stage 2, 300 pixels, batch 4,096: fits, 9.00 GiB per chip (compiled in 1:15)"
    )
    refused = StepCost(0, 128, 8192, True, fits=False, compile_seconds=5.0)
    line = "stage 1, 128 pixels, batch 8,192, remat: does not fit (compiled in 5 s)"
    assert format_step(refused) == line


def test_a_plan_is_what_it_was_as_json():
    values = json.loads(json.dumps(dataclasses.asdict(PLAN)))
    assert Plan.from_values(values) == PLAN


def test_steps_are_told_until_the_plan_comes():
    told, values = [], dataclasses.asdict(STEP)
    lines = [json.dumps({"step": values}), json.dumps({"plan": {"steps": [values]}})]
    assert process._read_plan(lines, told.append) == {"steps": [values]}
    assert told == [STEP]
    assert process._read_plan(lines[:1], told.append) is None
    with pytest.raises(InputError, match="no such slice"):
        process._read_plan([json.dumps({"error": "no such slice"})], told.append)


@pytest.mark.parametrize(
    ("code", "errors", "reason"),
    [
        (-9, "", "killed by signal 9, as happens if memory runs out"),
        (
            1,
            "Traceback\nRuntimeError: libtpu\n",
            "(exit status 1): RuntimeError: libtpu",
        ),
        (3, " \n", "(exit status 3): it gave no reason"),
    ],
)
def test_a_compiler_that_gave_no_plan_says_why(code, errors, reason):
    assert reason in process._why(code, errors)
