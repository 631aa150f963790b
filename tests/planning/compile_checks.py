"""Run by test_compiling.py, with libtpu: python -m tests.planning.compile_checks X."""

import sys

from keras_effnetv2 import planning
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.planning.chips import GIB
from keras_effnetv2.planning.plan_report import format_step
from keras_effnetv2.profiling import profile
from keras_effnetv2.training.experiments.named import get_experiment
from keras_effnetv2.training.experiments.settings import override

# As tests.tiny_networks has it, which imports Keras, and with it TensorFlow.
NANO = "tests/nano.json"
BATCH, SIZE = 64, 32
ONE_STAGE = (
    f"model.variant={NANO}",
    "model.width_coefficient=1",
    "model.depth_coefficient=1",
    "model.precision=mixed_bfloat16",
    "optimizer.global_clipnorm=5",
    "progressive.num_stages=1",
)


def experiment(*settings):
    return override(get_experiment("digits-smoke"), [*ONE_STAGE, *settings])


def show(step):
    print(format_step(step), flush=True)


def quick():
    """One compile, of a step divided over four chips."""
    told = []
    settings = experiment(f"batch_size={BATCH}")
    plan = planning.plan(settings, "v5e:2x2", quick=True, tell=told.append)
    (step,) = plan.steps
    assert told == [step] and plan.largest == () and step.fits and not step.remat
    assert (step.batch_size, step.image_size) == (BATCH, SIZE)
    counted = profile(get_variant(NANO), SIZE, measure=False)
    # A multiply-add is two operations; forward, and backward twice that.
    expected = 6 * counted.multiply_adds * BATCH / 4
    assert 0.5 < step.flops / expected < 3, step
    # Weights, their average, and Adam's two slots of those that learn.
    arrays = 2 * counted.num_params + 2 * counted.num_trainable_params
    assert 0.8 < step.argument_bytes / (4 * arrays) < 3, step
    assert step.num_all_reduces > 0
    # What is small enough may never leave the cores.
    assert 0 <= step.temporary_bytes < step.used_bytes < GIB, step
    assert plan.step_seconds(step) > 0
    print(planning.format_plan(plan))


def whole():
    """All of a plan: stages, the largest batch, and remat, on one chip."""
    settings = experiment(
        f"batch_size={BATCH}",
        "progressive.num_stages=2",
        "progressive.image_size=128,256",
        "model.remat=true",
    )
    plan = planning.plan(settings, "v5e:1x1", every_stage=True, tell=show)
    steps = {(x.stage, x.batch_size, x.remat): x for x in plan.steps}
    first, other = plan.steps[:2]
    assert (first.stage, other.stage) == (1, 0) and first.remat
    assert all(step.num_all_reduces == 0 for step in plan.steps)
    assert [x.remat for x in plan.largest] == [True, False]
    for largest in plan.largest:
        assert steps[1, largest.batch_size, largest.remat].fits
        assert largest.batch_size > BATCH
    without = steps[1, BATCH, False]
    assert first.temporary_bytes < without.temporary_bytes
    print(planning.format_plan(plan))


if __name__ == "__main__":
    {"quick": quick, "whole": whole}[sys.argv[1]]()
    print("passed")
