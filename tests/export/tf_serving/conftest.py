"""The served model, photographs for it, and the client."""

import pytest

from tests.conftest import ROOT
from tests.export.tf_serving import goods


@pytest.fixture(scope="module")
def base():
    return goods.base()


@pytest.fixture(scope="module")
def server():
    with goods.server() as running:
        yield running


@pytest.fixture(scope="module")
def photographs():
    return goods.photographs()


@pytest.fixture
def client_folder(monkeypatch):
    """The folder of the client, whose modules can be imported."""
    folder = ROOT / "tools" / "serving"
    monkeypatch.syspath_prepend(str(folder))
    return folder
