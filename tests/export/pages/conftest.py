"""A small site, a server and a browser for it."""

import shutil
import subprocess
import tarfile

import pytest

from tests import browsers
from tests.export import micro
from tests.export.pages import sites

AXE = "axe-core@4.14.1"
LABELS = ("cat", "polar_bear", "tea, green")


@pytest.fixture(scope="session")
def runtime_folder(tmp_path_factory):
    """The package of the engine as npm unpacks it."""
    from keras_effnetv2.export.pages import runtime

    sites.fetched_runtime()
    folder = tmp_path_factory.mktemp("npm") / "node_modules" / runtime.PACKAGE
    for name, contents in runtime._read_tarball(runtime._fetch()).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    return folder


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """axe-core, which finds what keeps people from using a page."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, for axe-core")
    folder = tmp_path_factory.mktemp("axe")
    command = [npm, "pack", "--silent", AXE]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs npm's registry, for {AXE}: {done.stderr[-200:]}")
    (path,) = folder.glob("*.tgz")
    with tarfile.open(path) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


@pytest.fixture(scope="session")
def model():
    import keras

    keras.utils.set_random_seed(3)
    return micro.classifier(3, 32, LABELS)


@pytest.fixture(scope="module")
def site(model, runtime_folder, tmp_path_factory):
    from keras_effnetv2 import export
    from tests import image_files

    examples = tmp_path_factory.mktemp("examples")
    for name, orientation in {"upright": 1, "turned": 6}.items():
        image_files.RGB.save(
            examples / f"{name}.jpg", exif=image_files.exif(orientation)
        )
    folder = tmp_path_factory.mktemp("sites") / "site"
    options = {"title": "Small", "examples": examples, "not_sure_below": 0.3}
    export.web(model, folder, **options, fold=False)
    return folder


@pytest.fixture(scope="module")
def address(site):
    with sites.served(site) as address:
        yield address


@pytest.fixture(scope="module")
def chromium():
    with browsers.opened(
        "enable-unsafe-swiftshader", "use-fake-ui-for-media-stream"
    ) as browser:
        yield browser


@pytest.fixture
def page(chromium, address):
    """The page, whose network is ready."""
    sites.open_page(chromium, address)
    yield chromium
    chromium.delete_all_cookies()
