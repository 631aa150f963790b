"""Fixtures shared by all tests."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

ROOT = pathlib.Path(__file__).parents[1]
REFERENCE = ROOT.parent / "shared" / "reference"


@pytest.fixture(scope="session")
def reference() -> pathlib.Path:
    """Folder of reference numbers; in CI it must be there."""
    if not REFERENCE.is_dir():
        if os.environ.get("CI"):
            pytest.fail("../shared/reference is absent, and CI needs it")
        pytest.skip("needs ../shared/reference: numbers of independent implementations")
    return REFERENCE
