"""Slices of TPU chips by name."""

import pytest

from keras_effnetv2.planning.chips import CHIPS, GIB, find_slice


@pytest.mark.parametrize(
    ("device", "num_chips"),
    [("v5e:1x1", 1), ("v5e:4x4", 16), ("v6e:16x16", 256), ("v5p:2x2x4", 16)],
)
def test_a_slice_has_its_chips(device, num_chips):
    found = find_slice(device)
    assert found.num_chips == num_chips
    assert found.chip is CHIPS[device[:3]]
    assert str(found) == device


@pytest.mark.parametrize("name", CHIPS)
def test_every_example_is_a_slice(name):
    for topology in CHIPS[name].examples.split(", "):
        assert find_slice(f"{name}:{topology}").num_chips >= 1


@pytest.mark.parametrize("chip", CHIPS.values(), ids=lambda chip: chip.name)
def test_figures_have_their_units(chip):
    assert 1e14 < chip.flops < 1e15 and 5e11 < chip.bandwidth < 5e12
    assert 0.9 * chip.memory < chip.usable < chip.memory + GIB


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("v7:2x2", "the chips are v4, v5e, v5p, v6e. Received: 'v7:2x2'"),
        ("", "Received: ''"),
        ("v5e", "2 numbers of chips, such as 1x1.*Received: 'v5e'"),
        ("v5e:4", "2 numbers"),
        ("v5e:4x0", "2 numbers"),
        ("v5e:4y4", "2 numbers"),
        ("v5e:4x4x4", "2 numbers"),
        ("v5p:4x4", "3 numbers of chips, such as 2x2x1"),
        ("v5e:32x32", "has 256 chips. Received: 'v5e:32x32', which has 1,024"),
    ],
)
def test_what_is_no_slice_is_refused(device, message):
    with pytest.raises(ValueError, match=message):
        find_slice(device)
