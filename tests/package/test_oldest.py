"""The oldest versions that are tested are those that are claimed."""

import re

from tests.conftest import ROOT


def versions(path, operator):
    """Package -> version, `8` written `8.0.0`."""
    pattern = rf"\b([a-z][\w-]*)(?:\[\w+\])?{operator}([\d.]+)"
    found = re.findall(pattern, (ROOT / path).read_text())
    return {name: (version + ".0.0").split(".")[:3] for name, version in found}


def test_the_oldest_versions_are_the_lower_bounds():
    assert versions("tests/oldest.txt", "==") == versions("setup.py", ">=")
