"""Executes the notebooks of examples/notebooks, each in a folder of its own.

    make notebooks
    .venv-docs/bin/python tools/docs/run_notebooks.py first_steps --output FOLDER

Copies with their outputs go to a folder; `make docs` shows those of runs/notebooks.
Prints the seconds that each took, on the clock and of the processor. Needs the extra
`docs`, in an environment that also has what the notebooks need.
"""

import argparse
import pathlib
import resource
import sys
import tempfile
import time

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

from keras_effnetv2.commands.shared.noise import is_noise

NOTEBOOKS = pathlib.Path(__file__).parents[2] / "examples" / "notebooks"
# What a cell, or the start, may take at most: minutes on two idle cores.
_CELL_SECONDS = 1800


def execute(path: pathlib.Path, output: pathlib.Path) -> None:
    """Writes a copy of a notebook with its outputs.

    Raises:
        CellExecutionError: a cell raises; it says which, and its traceback.
    """
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as own:
        # Sockets in a private folder: ports would be open to everybody on the machine.
        # By an absolute path, since the kernel works in another folder.
        sockets = {"transport": "ipc", "ip": str(pathlib.Path(own, "kernel"))}
        client = NotebookClient(
            notebook,
            config=Config({"ConnectionFileMixin": sockets}),
            timeout=_CELL_SECONDS,
            startup_timeout=_CELL_SECONDS,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    _drop_noise(notebook)
    nbformat.write(notebook, output)


def _drop_noise(notebook: nbformat.NotebookNode) -> None:
    """Leaves out what TensorFlow's libraries log and the commands do not show."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                lines = output.text.splitlines(keepends=True)
                output.text = "".join(x for x in lines if not is_noise(x.encode()))
        if "outputs" in cell:
            cell.outputs = [x for x in cell.outputs if x.get("text") != ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    parser.add_argument("names", nargs="*", default=names, metavar="NAME")
    parser.add_argument("--output", type=pathlib.Path, required=True, metavar="DIR")
    args = parser.parse_args()
    if absent := {*args.names} - {*names}:
        parser.error(f"No notebook {', '.join(sorted(absent))}. Expected: {names}.")
    args.output.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in args.names:
        start, computed = time.monotonic(), _processor_seconds()
        try:
            execute(NOTEBOOKS / f"{name}.ipynb", args.output / f"{name}.ipynb")
        except CellExecutionError as error:  # The others are worth knowing, too.
            failed.append(name)
            print(error, file=sys.stderr, flush=True)
        print(
            f"{name}: {time.monotonic() - start:.0f} s, "
            f"{_processor_seconds() - computed:.0f} s of the processor",
            flush=True,
        )
    if failed:
        sys.exit(f"error: {', '.join(failed)} failed")


def _processor_seconds() -> float:
    """Of all processes that this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
