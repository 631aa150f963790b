"""Batch norms over replicas: together they are one, in groups each group is one."""

import pytest

from tests import forked


@pytest.mark.long
@pytest.mark.parametrize(
    "checks",
    [
        "layers",
        pytest.param("training", marks=pytest.mark.slow),
        pytest.param("everything", marks=pytest.mark.slow),
    ],
)
def test_replicas_that_share_statistics_are_as_one(checks, tmp_path):
    command = ["-m", "tests.layers.normalization.replica_checks", checks]
    assert forked.output(command, tmp_path).endswith("passed\n")
