import json

import pytest

from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.training.progressive import stages
from keras_effnetv2.training.progressive.stages import Ramp, Stage, plan_stages

# Table 6: last image size, RandAugment magnitude, MixUp alpha, dropout rate.
PAPER = {"s": (300, 15, 0, 0.3), "m": (380, 20, 0.2, 0.4), "l": (380, 25, 0.4, 0.5)}
# Released code: last magnitude, and alpha of both MixUp and CutMix. That of B0-B3 goes
# down to 0, and is not used: they have AutoAugment.
RELEASED = {
    "s": (10, 0), "m": (15, 0.2), "l": (20, 0.5), "xl": (20, 0.5),
    "b0": (0, 0), "b1": (0, 0), "b2": (0, 0), "b3": (0, 0),
}  # fmt: skip


def paper(size, **kwargs):
    last_size, magnitude, alpha, dropout_rate = PAPER[size]
    return plan_stages(
        **dict(
            epochs=350,
            num_stages=4,
            image_size=Ramp(128, last_size),
            randaugment_magnitude=Ramp(5, magnitude),
            mixup_alpha=Ramp(0, alpha),
            dropout_rate=Ramp(0.1, dropout_rate),
            batch_size=4096,
        )
        | kwargs
    )


def released(size):
    variant = get_variant(f"efficientnetv2-{size}")
    magnitude, alpha = RELEASED[size]
    return plan_stages(
        epochs=350,
        num_stages=4,
        image_size=Ramp(128, variant.train_size),
        randaugment_magnitude=Ramp(5, magnitude),
        mixup_alpha=Ramp(0, alpha),
        cutmix_alpha=Ramp(0, alpha),
        dropout_rate=variant.dropout_rate,
        batch_size=4096,
        formula="released",
    )


def column(plan, name):
    return [getattr(stage, name) for stage in plan]


# The paper's Table 6 through Algorithm 1, to the digits given. How it rounds 185.3 and
# 242.7 pixels it does not say.
TABLES = {
    "s": {
        "image_size": [128, 185, 243, 300],
        "randaugment_magnitude": [5, 8.33, 11.67, 15],
        "mixup_alpha": [0, 0, 0, 0],
        "dropout_rate": [0.1, 0.167, 0.233, 0.3],
    },
    "m": {
        "image_size": [128, 212, 296, 380],
        "randaugment_magnitude": [5, 10, 15, 20],
        "mixup_alpha": [0, 0.067, 0.133, 0.2],
        "dropout_rate": [0.1, 0.2, 0.3, 0.4],
    },
    "l": {
        "image_size": [128, 212, 296, 380],
        "randaugment_magnitude": [5, 11.67, 18.33, 25],
        "mixup_alpha": [0, 0.133, 0.267, 0.4],
        "dropout_rate": [0.1, 0.233, 0.367, 0.5],
    },
}


@pytest.mark.parametrize("size", TABLES)
def test_the_papers_stages(size):
    plan = paper(size)
    for name, values in TABLES[size].items():
        digits = {"image_size": 0, "randaugment_magnitude": 2}.get(name, 3)
        assert [round(x, digits) for x in column(plan, name)] == values
    assert column(plan, "num_epochs") == [87, 88, 87, 88]  # "about 87 epochs"


@pytest.mark.parametrize("size", RELEASED)
@pytest.mark.parametrize("script", ["main", "main_tf2"])
def test_stages_equal_those_of_the_released_scripts(reference, script, size):
    path = reference / f"schedule/stages_{script}.json"
    rows = json.loads(path.read_text())["tables"][f"efficientnetv2-{size}"]
    plan = released(size)
    assert column(plan, "image_size") == [row["image_size"] for row in rows]
    names = {
        "randaugment_magnitude": "ram",
        "mixup_alpha": "mixup_alpha",
        "cutmix_alpha": "cutmix_alpha",
    }
    for ours, theirs in names.items():
        # NumPy's linspace multiplies and divides in another order.
        assert column(plan, ours) == pytest.approx(
            [row[theirs] for row in rows], abs=1e-12
        )
    if script == "main_tf2":
        assert column(plan, "first_epoch") == [row["initial_epoch"] for row in rows]
        assert column(plan, "end_epoch") == [row["epochs"] for row in rows]
    else:  # It counts steps, and changes stage within an epoch.
        ends = [row["max_steps"] / row["steps_per_epoch"] for row in rows]
        assert column(plan, "end_epoch") == pytest.approx(ends, abs=0.51)


def test_the_released_code_keeps_dropout_constant():
    for size, rate in [("s", 0.2), ("m", 0.3), ("l", 0.4), ("xl", 0.4)]:
        assert column(released(size), "dropout_rate") == [rate] * 4


def test_released_formula_without_growth_is_constant():
    plan = plan_stages(
        epochs=3, num_stages=3, image_size=224, batch_size=8, formula="released"
    )
    assert column(plan, "image_size") == [224, 224, 224]


@pytest.mark.parametrize("num_stages", [1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("epochs", [10, 11, 97, 350])
def test_stages_cover_every_epoch_once(epochs, num_stages):
    plan = paper("s", epochs=epochs, num_stages=num_stages)
    covered = [e for s in plan for e in range(s.first_epoch, s.end_epoch)]
    assert covered == list(range(epochs))
    lengths = column(plan, "num_epochs")
    assert max(lengths) - min(lengths) <= 1
    assert column(plan, "index") == list(range(num_stages))


@pytest.mark.parametrize("formula", stages.FORMULAS)
@pytest.mark.parametrize("num_stages", range(1, 12))
def test_the_last_stage_has_the_last_values(formula, num_stages):
    last = paper("l", num_stages=num_stages, formula=formula)[-1]
    assert last.image_size == 380
    assert last.randaugment_magnitude == 25
    assert (last.mixup_alpha, last.dropout_rate) == (0.4, 0.5)


def test_only_the_papers_formula_begins_at_the_first_size():
    assert paper("s")[0].image_size == 128
    assert paper("s", formula="released")[0].image_size == 171


def test_rates_stay_as_the_model_has_them():
    plan = plan_stages(epochs=2, num_stages=2, image_size=32, batch_size=8)
    assert column(plan, "dropout_rate") == column(plan, "drop_path_rate") == [None] * 2


def test_stochastic_depth_can_grow_too():
    plan = paper("s", num_stages=3, drop_path_rate=Ramp(0, 0.2))
    assert column(plan, "drop_path_rate") == [0, 0.1, 0.2]


def test_a_batch_size_for_each_stage():
    plan = paper("s", batch_size=[8, 6, 4, 2])
    assert column(plan, "batch_size") == [8, 6, 4, 2]
    assert plan[0].num_steps(num_images=20) == 87 * 2
    with pytest.raises(ValueError, match="one for each of the 4 stages.*8, 6"):
        paper("s", batch_size=[8, 6])


# Derived in the paper's terms: mean image area, of that of the last stage. Stages here
# are of 87 or 88 epochs instead of 87.5.
@pytest.mark.parametrize(
    ("plan", "share"),
    [
        (paper("s"), 0.554),
        (paper("m"), 0.508),
        (released("s"), 0.642),
        (released("l"), 0.597),
    ],
)
def test_cost_is_the_mean_image_area(plan, share):
    assert stages.relative_cost(plan) == pytest.approx(share, abs=3e-3)


def test_cost_counts_what_is_left_of_a_stage():
    plan = plan_stages(epochs=4, num_stages=2, image_size=Ramp(16, 32), batch_size=1)
    assert stages.cost(plan) == 2 * 16**2 + 2 * 32**2
    assert stages.cost(plan, epochs_done=1.5) == 0.5 * 16**2 + 2 * 32**2
    assert stages.cost(plan, epochs_done=3) == 32**2
    assert stages.cost(plan, epochs_done=4) == 0


def test_the_plan_reads_as_a_table():
    plan = plan_stages(
        epochs=5,
        num_stages=2,
        image_size=Ramp(16, 32),
        mixup_alpha=Ramp(0, 0.2),
        dropout_rate=0.2,
        batch_size=[20, 10],
    )
    lines = stages.format_plan(plan, num_images=105).splitlines()
    header, first, second = (line.split() for line in lines[:3])
    assert header[:3] == ["stage", "epochs", "size"]
    assert " ".join(first) == "1 1-2 16 0 0 0 0.2 model's 20 10 14%"
    assert " ".join(second) == "2 3-5 32 0 0.2 0 0.2 model's 10 30 86%"
    assert "take 70% of the time of 32 pixels throughout" in lines[-1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"formula": "code"}, "formula must be one of.*'code'"),
        ({"num_stages": 0}, "at least one stage.*num_stages=0"),
        ({"epochs": 3}, "num_stages=4, epochs=3"),
        ({"image_size": Ramp(0, 300)}, "image_size=0"),
        ({"randaugment_magnitude": Ramp(-1, 5)}, "randaugment_magnitude=-1"),
        ({"mixup_alpha": -0.1}, "mixup_alpha=-0.1"),
        ({"dropout_rate": Ramp(0.1, 1.0)}, "dropout_rate=1.0"),
        ({"drop_path_rate": 1}, "drop_path_rate=1"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_a_plan_that_cannot_be(wrong, message):
    with pytest.raises(ValueError, match=message):
        paper("s", **wrong)


@pytest.mark.parametrize("last", [float("nan"), float("inf"), "300", None, True])
def test_a_ramp_is_of_numbers(last):
    with pytest.raises(ValueError, match="two finite numbers"):
        Ramp(128, last)


def test_a_stage_by_hand():
    stage = Stage(0, 0, 2, 64, 5.0, 0.0, 0.0, None, None, 32)
    assert stage.end_epoch == 2
    with pytest.raises(ValueError, match="batch has 32 images.*only 31"):
        stage.num_steps(31)
