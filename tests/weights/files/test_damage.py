"""Whatever is done to a file ends in an error of ours or is read; nothing is run."""

import pytest

from keras_effnetv2.weights import matching
from tests.weights import damage


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No look for the network that a file is of, among all that there are."""
    monkeypatch.setattr(matching, "VARIANTS", {})


@pytest.mark.parametrize(
    "count",
    [60, pytest.param(2400, marks=pytest.mark.slow)],  # The long one takes 5 minutes.
)
def test_damaged_files_of_every_kind(count, tmp_path):
    (tmp_path / "good").mkdir()
    counts = damage.check(damage.damaged_files(tmp_path, count, seed=count))
    ends = {key: n for key, n in counts.items() if isinstance(key, tuple)}
    assert sum(ends.values()) == count


@pytest.mark.slow
def test_hostile_pickles_in_both_layouts(tmp_path):
    counts = damage.check(damage.hostile_files(tmp_path))
    ends = {key: n for key, n in counts.items() if isinstance(key, tuple)}
    assert {end for _, end in ends} == {"InputError"}
    assert sum(ends.values()) > 1500
