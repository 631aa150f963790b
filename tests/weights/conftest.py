"""Fixtures of the tests of downloads."""

import pytest

from keras_effnetv2.weights.downloads import download, https
from tests.weights.downloads import bad_server


@pytest.fixture
def server():
    """A server of this machine that misbehaves on request."""
    with bad_server.running() as server:
        yield server


@pytest.fixture
def quick_and_alone(monkeypatch, tmp_path):
    """Downloads into an empty cache, from no mirror, that do not wait."""
    monkeypatch.setattr(https, "BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(https, "TIMEOUT_SECONDS", 5.0)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv(download.MIRROR_VARIABLE, raising=False)
