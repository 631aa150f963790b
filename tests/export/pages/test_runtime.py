"""Where a page's engine comes from, and that it is the one that was measured."""

import shutil
import tarfile

import pytest

from keras_effnetv2.errors import DownloadError, InputError
from keras_effnetv2.export.pages import runtime
from keras_effnetv2.weights.downloads import https
from tests.servers import local_servers, mirror


@pytest.fixture(scope="module")
def tarball(runtime_folder):
    return runtime._fetch()


@pytest.mark.long
def test_a_tarball_a_folder_and_node_modules_are_the_same(tarball, runtime_folder):
    files = runtime.open_runtime(tarball)
    assert len(files) == 10
    assert b"@litertjs/wasm-utils" not in files["litert.js"]
    assert files == runtime.open_runtime(runtime_folder)
    assert files == runtime.open_runtime(runtime_folder.parents[1])
    assert files == runtime.open_runtime(runtime_folder.parents[2])


def test_another_version_is_refused(runtime_folder, tmp_path):
    folder = tmp_path / "package"
    shutil.copytree(runtime_folder, folder)
    path = folder / "wasm" / "litert_wasm_internal.js"
    path.write_text(path.read_text() + "//")
    with pytest.raises(InputError, match="has no wasm/litert_wasm_internal.js of @lit"):
        runtime.open_runtime(folder)
    packed = tmp_path / "other.tgz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder / "dist", "package/dist")
    with pytest.raises(InputError, match="other.tgz has no wasm/.*npm pack @litertjs"):
        runtime.open_runtime(packed)


def test_what_is_no_package_is_refused(tarball, tmp_path):
    cut = tmp_path / "cut.tgz"
    cut.write_bytes(tarball.read_bytes()[:100_000])
    with pytest.raises(InputError, match="cut.tgz (cannot be read|has no)"):
        runtime.open_runtime(cut)
    for path in (tmp_path / "none.tgz", tmp_path):
        with pytest.raises(InputError, match="npm pack @litertjs/core@2.5.3"):
            runtime.open_runtime(path)


@pytest.mark.long
def test_the_registry_is_that_of_npm(tarball, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras_home"))
    place = tmp_path / "registry" / runtime.PACKAGE / "-" / "core-2.5.3.tgz"
    place.parent.mkdir(parents=True)
    shutil.copy(tarball, place)
    with mirror.serving(tmp_path / "registry") as server:
        address = local_servers.address(server)
        monkeypatch.setenv("npm_config_registry", address + "/")
        assert runtime.open_runtime(None) == runtime.open_runtime(tarball)
        assert server.requests
        server.requests.clear()
        runtime.open_runtime(None)
        assert not server.requests  # From the cache.
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "another_home"))
    monkeypatch.setenv("npm_config_registry", f"{address}/none")
    monkeypatch.setattr(https, "BACKOFF_SECONDS", 0.01)
    with pytest.raises(DownloadError, match="cannot be downloaded.*--runtime"):
        runtime.open_runtime(None)
