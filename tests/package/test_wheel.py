"""The wheel has what the package reads, and works without the repository."""

import os
import subprocess
import sys
import sysconfig
import venv

import pytest
import setuptools

from tests.conftest import ROOT


def test_every_module_is_packaged():
    patterns = ["keras_effnetv2", "keras_effnetv2.*"]  # Those of setup.py.
    packages = set(setuptools.find_packages(str(ROOT), include=patterns))
    folders = {x.parent for x in (ROOT / "keras_effnetv2").rglob("*.py")}
    assert packages == {".".join(x.relative_to(ROOT).parts) for x in folders}


@pytest.mark.slow
def test_an_installed_wheel_works(tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT]
    subprocess.run(build, check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("keras_effnetv2-*.whl")

    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    target = ["--no-deps", "--target", packages]
    subprocess.run([*pip, "install", *target, wheel], check=True)
    # What the package needs is that of this environment, whose own copy comes later.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    python = environment / "bin" / "python"
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    script = ROOT / "tools" / "try_installed.py"
    subprocess.run([python, "-P", script], check=True, cwd=tmp_path, env=clean)
