"""Fixtures shared by all tests."""

import gc
import importlib.metadata
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Tests run what XLA compiles a few times: to optimize it takes longer.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
)

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LARGE_REFERENCE = ROOT.parent / "shared" / "reference"


class Reference:
    """Numbers of independent implementations: `reference / "outputs/tiny-s.npz"`."""

    def __truediv__(self, name: str) -> pathlib.Path:
        """The file; what is too large for the repository is beside it, in CI at least.

        tests/reference/README.md says where all of them come from.
        """
        path = ROOT / "tests" / "reference" / name
        if path.exists():
            return path
        if not LARGE_REFERENCE.is_dir():
            if os.environ.get("CI"):
                pytest.fail("../shared/reference is absent, and CI needs it")
            pytest.skip(f"needs ../shared/reference/{name}")
        return LARGE_REFERENCE / name


def pytest_configure(config: pytest.Config) -> None:
    """Keras 3.10 warns of a tensor for any model that was made from a config."""
    if importlib.metadata.version("keras").startswith("3.10."):
        message = "The structure of `inputs` doesn't match the expected structure"
        config.addinivalue_line("filterwarnings", f"ignore:{message}:UserWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests, and what they set up, may take an hour."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(3600))


def pytest_collection_finish() -> None:
    """What is imported stays: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def graphs_of_a_file():
    """Frees the graphs of a file's tests after them."""
    from keras_effnetv2 import private_apis

    with private_apis.traced_for_a_while():
        yield
    gc.collect()


@pytest.fixture(scope="session")
def reference() -> Reference:
    return Reference()


@pytest.fixture
def warnings(monkeypatch):
    """Warnings that are logged, as text."""
    from absl import logging

    lines = []
    monkeypatch.setattr(
        logging, "warning", lambda text, *args: lines.append(text % args)
    )
    return lines


@pytest.fixture
def figures(monkeypatch):
    """What is drawn, as figures of matplotlib."""
    figure = pytest.importorskip("matplotlib.figure")
    drawn, save = [], figure.Figure.savefig

    def keep(self, *args, **kwargs):
        drawn.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(figure.Figure, "savefig", keep)
    return drawn


@pytest.fixture(scope="session")
def mirrored_releases(tmp_path_factory):
    """Released files of a small B0 with random weights, on a server of this machine."""
    from tests.servers import mirror

    folder = tmp_path_factory.mktemp("mirror")
    rows = mirror.write_releases(folder)
    with mirror.serving(folder) as server:
        yield server, rows


@pytest.fixture
def mirror_server(mirrored_releases, monkeypatch, tmp_path):
    """The server that B0's `"imagenet"` and `"imagenet21k"` weights now come from.

    Of B0 there are all stages, each of one narrow block.
    """
    from keras_effnetv2.networks import variants
    from keras_effnetv2.weights import releases
    from tests.servers import local_servers, mirror

    server, rows = mirrored_releases
    monkeypatch.setattr(releases, "RELEASES", rows)
    monkeypatch.setitem(variants.VARIANTS, mirror.VARIANT.name, mirror.VARIANT)
    monkeypatch.setenv("KERAS_EFFNETV2_MIRROR", local_servers.address(server))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras_home"))
    server.requests.clear()
    return server


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty Hugging Face Hub of this machine, with an empty cache of it."""
    from tests.servers import hub_server

    pytest.importorskip("huggingface_hub")
    with hub_server.running() as hub:
        hub_server.use(hub, tmp_path / "hub_cache", monkeypatch)
        yield hub


@pytest.fixture
def engines_here():
    """Engines of exports run in this process."""
    from tests import engines

    with engines.here():
        yield
