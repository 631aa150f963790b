"""The cost table: planted costs found again, files that are damaged, real blocks."""

import contextlib
import dataclasses
import io
import json
import logging
import os

import numpy as np
import pytest

from keras_effnetv2 import progress
from keras_effnetv2.networks.architecture import (
    FUSED_MBCONV,
    MBCONV,
    BlockSpec,
    Variant,
)
from keras_effnetv2.search.costs import cost_measurement as measurement
from keras_effnetv2.search.costs.block_shapes import block_shapes, space_shapes
from keras_effnetv2.search.costs.cost_cache import CostCache, Costs
from keras_effnetv2.search.costs.step_time import StepTime
from keras_effnetv2.search.costs.table import CostTable, fit
from keras_effnetv2.search.costs.workload import Workload
from keras_effnetv2.search.sampling.space import Space
from keras_effnetv2.training.experiments.configuration import Optimizer

# fmt: off
BACKBONE = Variant("small", (
    BlockSpec(FUSED_MBCONV, 3, 1, 1,  8, 1),
    BlockSpec(FUSED_MBCONV, 3, 2, 4, 16, 2),
    BlockSpec(MBCONV,       3, 2, 4, 24, 2, 0.25),
), stem_filters=8, train_size=32, eval_size=32, dropout_rate=0.2, top_filters=32)
# fmt: on
SPACE = Space.of(BACKBONE)
WORKLOAD = Workload(32, 4)
# Of the costs of all blocks, and of every step.
WEIGHTS = np.array([0.9, 0.2])


@pytest.fixture
def planted(monkeypatch):
    """Measurements that follow from planted costs; yields what was measured."""
    log = {"blocks": 0, "networks": 0}
    shapes = space_shapes(SPACE, 32)
    rng = np.random.default_rng(0)
    costs = {shape.name: rng.uniform(0.01, 0.2) for shape in shapes}

    def share(variant):
        shapes = block_shapes(variant, 32).items()
        total = sum(count * costs[shape.name] for shape, count in shapes)
        return float(WEIGHTS @ (total, 1))

    def step(layers, sides, workload):
        if layers is list:
            return 0.3  # Seconds of what stands around the blocks.
        log["blocks"] += 1
        return 0.3 + 2.0 * costs[layers.args[0].name]

    def turns(steps, repeats):
        slower = [1.0, 3.0, 1.7][:repeats]  # Round by round.
        return [tuple(step * x for x in slower) for step in steps]

    def compare(candidates, backbone, *, repeats, **workload):
        for candidate in candidates:
            log["networks"] += 1
            ratio = share(candidate) / share(backbone)
            yield StepTime("x", (2 * ratio,), "d"), StepTime("b", (2.0,), "d")

    # Which collects the garbage of the whole test run, block after block.
    monkeypatch.setattr(measurement, "measuring", contextlib.nullcontext)
    monkeypatch.setattr(measurement, "network_step", lambda *_: 2.0)
    monkeypatch.setattr(measurement, "layer_step", step)
    monkeypatch.setattr(measurement, "time_in_turns", turns)
    monkeypatch.setattr(measurement, "compare_step_times", compare)
    log["share"], log["costs"] = share, costs
    return log


def make_table(folder, **changes):
    options = {"image_size": 32, "batch_size": 4, "repeats": 3, "folder": folder}
    options["stream"] = io.StringIO()
    return CostTable.of(SPACE, **(options | changes))


def test_planted_costs_predict_every_network(planted, tmp_path):
    table = make_table(tmp_path)
    assert table.costs == pytest.approx(planted["costs"])
    backbone = planted["share"](BACKBONE)
    assert np.array(table.weights) * backbone == pytest.approx(WEIGHTS)
    rng = np.random.default_rng(7)
    for _ in range(20):
        variant = SPACE.variant(SPACE.random(rng))
        ratio = planted["share"](variant) / backbone
        assert table.relative(variant) == pytest.approx(ratio)
        assert table.predict(variant) == pytest.approx(ratio * table.backbone_seconds)
    assert table.relative(BACKBONE) == pytest.approx(1)


def test_every_block_is_measured_once_and_then_read(planted, tmp_path):
    first = make_table(tmp_path)
    assert planted["blocks"] == len(space_shapes(SPACE, 32)) == len(first.costs)
    assert planted["networks"] == 8
    assert make_table(tmp_path) == first
    assert make_table(tmp_path, num_networks=11).costs == first.costs
    assert planted["blocks"] == len(first.costs)
    assert planted["networks"] == 11


def test_a_stopped_measurement_goes_on(planted, tmp_path, monkeypatch):
    turns, calls = measurement.time_in_turns, []

    def stop(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return turns(*args)

    monkeypatch.setattr(measurement, "time_in_turns", stop)
    with pytest.raises(KeyboardInterrupt):
        make_table(tmp_path)
    made = planted["blocks"]
    table = make_table(tmp_path)
    # Only the group that was under way is made again.
    assert planted["blocks"] - len(table.costs) == len(calls[2][0]) - 2
    assert made < len(table.costs)


def test_progress_says_what_was_measured(planted, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_QUICK", 0.0)
    stream = io.StringIO()
    make_table(tmp_path, stream=stream)
    blocks, networks = stream.getvalue().splitlines()
    assert f"blocks: {len(space_shapes(SPACE, 32))} in" in blocks
    assert "networks: 8 in" in networks


def test_another_step_has_another_file(tmp_path):
    others = [
        Workload(64, 4),
        Workload(32, 8),
        Workload(32, 4, "mixed_bfloat16"),
        Workload(32, 4, classes=11),
        Workload(32, 4, optimizer=Optimizer("adam")),
    ]
    wide = dataclasses.replace(BACKBONE, stem_filters=16)
    caches = [CostCache(BACKBONE, x, tmp_path) for x in (WORKLOAD, *others)]
    caches.append(CostCache(wide, WORKLOAD, tmp_path))
    assert len({cache.path for cache in caches}) == 7
    named = dataclasses.replace(BACKBONE, name="other")
    assert CostCache(named, WORKLOAD, tmp_path).path == caches[0].path


def test_the_folder_is_that_of_keras(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert CostCache(BACKBONE, WORKLOAD).path.parent == tmp_path / "step_times"


def stored():
    blocks = {x.name: 0.1 for x in block_shapes(BACKBONE, 32)}
    return Costs([0.5, 0.25], blocks, [(BACKBONE, 1.0)])


def test_costs_come_back_from_their_file(tmp_path):
    cache = CostCache(BACKBONE, WORKLOAD, tmp_path / "new" / "folder")
    assert cache.read() == Costs()
    cache.write(stored())
    assert cache.read() == stored()
    assert os.listdir(cache.path.parent) == [cache.path.name]


def change(**fields):
    return lambda contents: json.dumps(contents | fields).encode()


@pytest.mark.parametrize(
    "damage",
    [
        lambda contents: b"",
        lambda contents: json.dumps(contents).encode()[:-9],
        lambda contents: b"\xff\xfe\x00",
        lambda contents: b"[" * 100_000,
        lambda contents: b" " * 10_000_001,
        lambda contents: b'{"seconds": ' + b"9" * 5000 + b"}",
        lambda contents: json.dumps([contents]).encode(),
        change(more=1),
        change(key={}),
        change(seconds=[]),
        change(seconds=[0]),
        change(seconds=[-1.0]),
        change(seconds=[True]),
        change(seconds=["1"]),
        change(seconds=[float("nan")]),
        change(seconds=[1e300]),
        change(seconds={}),
        change(blocks={"mbconv": -0.1}),
        change(blocks={"mbconv": None}),
        change(blocks=[1]),
        change(blocks={}),  # Its network has others.
        change(networks={"a": 1}),
        change(networks=[["{}", 1.0]]),
        change(networks=[[1, 2]]),
        change(networks=["ab"]),
    ],
)
def test_damaged_files_are_measured_anew_with_a_warning(tmp_path, caplog, damage):
    cache = CostCache(BACKBONE, WORKLOAD, tmp_path)
    cache.write(stored())
    cache.path.write_bytes(damage(json.loads(cache.path.read_text())))
    with caplog.at_level(logging.WARNING):
        assert cache.read() == Costs()
    assert "measuring them again" in caplog.text
    cache.write(stored())
    assert cache.read() == stored()


def test_without_a_folder_to_write_to_the_table_is_made_all_the_same(
    planted, tmp_path, caplog
):
    (tmp_path / "file").write_text("in the way")
    table = make_table(tmp_path / "file" / "folder")
    assert table.costs == pytest.approx(planted["costs"])
    assert "cannot be written" in caplog.text


def test_the_fit_has_no_negative_weights():
    rng = np.random.default_rng(0)
    rows = np.c_[rng.uniform(1, 2, (20, 2)), np.ones(20)]
    shares = rows @ np.array([1.0, -0.3, 0.5])
    weights = fit(rows, shares)
    assert (weights >= 0).all()
    assert weights[1] == 0
    assert fit(rows, rows @ np.array([1.0, 0.0, 0.5])) == pytest.approx([1, 0, 0.5])


def test_shapes_of_a_space_are_those_of_its_networks():
    shapes = space_shapes(SPACE, 40)
    assert len(set(shapes)) == len(shapes)
    assert len({shape.name for shape in shapes}) == len(shapes)
    rng = np.random.default_rng(0)
    met = set()
    for _ in range(400):
        met |= set(block_shapes(SPACE.variant(SPACE.random(rng)), 40))
    assert met <= set(shapes)
    # What is left is the backbone's own, if anything.
    assert set(shapes) - met <= set(block_shapes(SPACE.backbone, 40))


def test_blocks_of_a_network_by_hand():
    counts = {x.name: n for x, n in block_shapes(BACKBONE, 36).items()}
    assert counts == {
        "fused_mbconv k3 s1 e1 se0 8-8 at 18": 1,
        "fused_mbconv k3 s2 e4 se0 8-16 at 18": 1,
        "fused_mbconv k3 s1 e4 se0 16-16 at 9 dropped": 1,
        "mbconv k3 s2 e4 se0.25 16-24 at 9": 1,
        "mbconv k3 s1 e4 se0.25 24-24 at 5 dropped": 1,
    }


def test_unknown_blocks_are_refused(planted, tmp_path):
    wide = dataclasses.replace(BACKBONE, stem_filters=16, name="wide")
    with pytest.raises(ValueError, match="The step of wide cannot be predicted"):
        make_table(tmp_path).predict(wide)


def test_images_that_are_too_small_are_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(
        ValueError, match="strides of small multiply to 8. Received: im"
    ):
        make_table(tmp_path, image_size=7)


@pytest.mark.long
def test_real_blocks_of_a_space(tmp_path):
    """Order only: a block of 16 times the work costs more."""
    rows = (dataclasses.replace(BACKBONE.blocks[0], filters=32),)
    backbone = dataclasses.replace(BACKBONE, blocks=rows, stem_filters=32)
    space = Space.of(
        backbone, operators=FUSED_MBCONV, kernels=5, expansions=(1, 6), layers=1
    )
    table = CostTable.of(
        space,
        image_size=32,
        batch_size=16,
        optimizer=Optimizer("sgd", ema_momentum=0),
        repeats=3,
        num_networks=1,
        folder=tmp_path,
        stream=io.StringIO(),
    )
    small, large = (
        table.costs[f"fused_mbconv k5 s1 e{x} se0 32-32 at 16"] for x in (1, 6)
    )
    assert large > small
    assert table.backbone_seconds > 0
    assert table.relative(space.backbone) > 0
