"""The site: every public name is in its reference, and it builds strictly."""

import pathlib
import re
import subprocess
import sys
import zlib

import pytest

import keras_effnetv2
from tests.conftest import ROOT

MKDOCS = ROOT / ".venv-docs" / "bin" / "mkdocs"
PACKAGE = pathlib.Path(keras_effnetv2.__file__).parent
# Public modules, as opposed to packages, name what they hold by `def` and `class`.
MODULES = {
    "errors": {"InputError", "FileError", "DownloadError"},
    "models": {"create_model", "EfficientNetV2S"},
    "optimizers": {"Adam", "AdamW", "RMSpropTF"},
    "preprocessing": {"Preprocessing", "preprocess_input"},
}


def public_packages():
    """Those that say what is public, as `data`."""
    for path in sorted(PACKAGE.glob("*/__init__.py")):
        if re.search(r"^__all__", path.read_text(), re.MULTILINE):
            yield path.parent.name


def public_names():
    """Names as users write them, without importing what needs extras."""
    yield from (f"keras_effnetv2.{x}" for x in keras_effnetv2.__all__)
    for package in public_packages():
        module = f"keras_effnetv2.{package}"
        __import__(module)
        yield from (f"{module}.{x}" for x in sys.modules[module].__all__)
    for module, names in MODULES.items():
        yield from (f"keras_effnetv2.{module}.{x}" for x in names)


def test_every_public_package_has_a_page():
    pages = {x.stem for x in (ROOT / "docs/reference").glob("*.md")}
    assert pages == {"index", "keras_effnetv2", *public_packages(), *MODULES}
    for page in pages - {"index", "keras_effnetv2"}:
        text = (ROOT / f"docs/reference/{page}.md").read_text()
        assert f"::: keras_effnetv2.{page}\n" in text


@pytest.mark.long
@pytest.mark.skipif(not MKDOCS.is_file(), reason="make .venv-docs/installed")
def test_every_public_name_is_in_the_site(tmp_path):
    command = [MKDOCS, "build", "--strict", "--site-dir", tmp_path / "site"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=200)
    inventory = (tmp_path / "site" / "objects.inv").read_bytes()
    names = zlib.decompress(inventory.split(b"\n", 4)[4]).decode()
    found = {line.split(" ")[0] for line in names.splitlines()}
    assert not set(public_names()) - {"keras_effnetv2.__version__"} - found
