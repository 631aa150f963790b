"""Folders that any web server hosts: a page that classifies in its visitors' browsers.

index.html, style.css   the page; page/ has its modules
model.json              the model's description for the page, and the manifest
float16.tflite          the model, in one format
runtime/                LiteRT.js, see `runtime`
examples/               example pictures
sw.js, files.js         the service worker for offline use, and its list of files
"""

import hashlib
import importlib.resources
import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.export.checks import engines
from keras_effnetv2.export.lite.lite_models import litert
from keras_effnetv2.export.lite.sample_images import Images
from keras_effnetv2.export.manifests import Manifest
from keras_effnetv2.export.pages import runtime as engine_files
from keras_effnetv2.export.pages.example_images import read_examples, write_examples
from keras_effnetv2.export.publishing import check_target, replaced_folder

FORMATS = ("float16", "dynamic", "float32")
NOT_SURE_BELOW = 0.5
_PAGE = "page"
# The other files are cached for offline use when the page first requests them.
_KEPT_AT_ONCE = (".css", ".html", ".js", ".json", ".svg")
_KEPT_LATER = ("examples", "runtime")
# Best classes that a browser must reproduce before it may classify.
_NUM_PROBED = 5


def web(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    format: str = FORMATS[0],
    title: str | None = None,
    examples: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
    not_sure_below: float = NOT_SURE_BELOW,
    runtime: str | os.PathLike | None = None,
    evaluation: Images | None = None,
    image_size: int | None = None,
    fold: bool = True,
    classifier_activation: str = "auto",
    source: Mapping[str, str] | None = None,
) -> Manifest:
    """Exports a classifier as a web page that runs it in the visitor's browser.

    Any web server can host the folder, such as `python -m http.server --directory
    FOLDER`. Pictures stay with the visitor, nothing comes from another host, and over
    https or on the machine itself the page works offline after the first visit. It
    prepares images as in the model's evaluation, so that scores are Keras's up to the
    precision of the format.

    Args:
        model: a classifier of RGB images, as for `litert`.
        path: folder to write; an existing export is replaced.
        format: `"float16"`, `"dynamic"` (half the download; slower and less exact) or
            `"float32"`, as for `litert`.
        title: heading of the page. None: the model's name.
        examples: image files, or a folder of them, that visitors can try; they are
            shrunk, and written without metadata.
        not_sure_below: if the best score is below it, 0 to 1, "not sure" is shown.
        runtime: tarball or folder of the engine, npm's `@litertjs/core`. None: from
            npm's registry, then from the cache.
        evaluation: images on which the format is compared with Keras, as for `litert`.
        image_size: side of the images, pixels. None: the model's evaluation size.
        fold: whether to fold batch norms into convolutions.
        classifier_activation: as for `litert`.
        source: variant and weights, for the manifest.

    Returns:
        The manifest, which is next to the page as `model.json`.

    Raises:
        ValueError: an invalid argument, or a model that cannot be exported.
        ConnectionError: the engine cannot be downloaded.
    """
    target = check_target(path)
    check_options(format, not_sure_below)
    channels = getattr(model, "input_shape", (None,))[-1]
    if channels != 3:
        raise InputError(
            f"The page classifies RGB images. Received: a model of {channels} channels."
        )
    pictures = read_examples(examples)
    files = engine_files.open_runtime(runtime)
    with replaced_folder(target) as folder:
        manifest = litert(
            model,
            folder,
            formats=[format],
            evaluation=evaluation,
            image_size=image_size,
            fold=fold,
            classifier_activation=classifier_activation,
            source=source,
        )
        _write_folder(folder / "runtime", files)
        _write_folder(folder, _page_files())
        entries = _entries(folder / f"{format}.tflite", manifest)
        manifest = manifest.extended(
            format="web page",
            title=title or str(manifest.contents["name"]),
            not_sure_below=not_sure_below,
            examples=write_examples(pictures, folder / "examples"),
            **entries,
        )
        manifest.write(folder)
        _write_list(folder)
    return manifest


def check_options(format: str, not_sure_below: float) -> None:
    """Refuses invalid arguments of `web`.

    Raises:
        ValueError: an unknown format, or a threshold outside 0 to 1.
    """
    if format not in FORMATS:
        raise InputError(f"format must be one of {FORMATS}. Received: {format!r}.")
    if not 0 <= not_sure_below <= 1 or math.isnan(not_sure_below):
        raise InputError(
            f"not_sure_below must be 0 to 1. Received: {not_sure_below!r}."
        )


def _page_files() -> dict[str, bytes]:
    """The page itself, by paths in the site."""
    root = importlib.resources.files("keras_effnetv2.export.pages") / _PAGE
    found = {x.name: x.read_bytes() for x in root.iterdir() if x.is_file()}
    modules = (root / "modules").iterdir()
    return found | {f"{_PAGE}/{x.name}": x.read_bytes() for x in modules}


def _write_folder(folder: pathlib.Path, files: Mapping[str, bytes]) -> None:
    for name, contents in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)


def _entries(file: pathlib.Path, manifest: Manifest) -> dict[str, object]:
    """The page's description of the model's file and the engine."""
    contents = file.read_bytes()
    return {
        "model_file": {
            "file": file.name,
            "bytes": len(contents),
            "sha256": hashlib.sha256(contents).hexdigest(),
        },
        "is_calibrated": "temperature" in manifest.contents,
        "probe": _probe(file, manifest.contents["preprocessing"]["image_size"]),
        "runtime": {
            "package": engine_files.PACKAGE,
            "version": engine_files.VERSION,
            "license": engine_files.LICENSE,
        },
    }


def _probe(file: pathlib.Path, size: int) -> dict[str, float]:
    """Scores of the best classes of a test pattern, which browsers must reproduce.

    GPU drivers have computed networks incorrectly, without an error.
    """
    rows, columns, channels = np.ogrid[:size, :size, :3]
    pattern = (7 * rows + 5 * columns + 80 * channels) % 256
    interpreter = engines.litert_interpreter(os.fspath(file), num_threads=1)
    outputs, _ = engines.run_litert_model(interpreter, pattern.astype("float32"))
    scores = outputs["probabilities"]
    best = np.argsort(-scores, kind="stable")[:_NUM_PROBED]
    return {str(index): float(scores[index]) for index in best}


def _write_list(folder: pathlib.Path) -> None:
    """Writes `files.js`: the files that the service worker caches, and a version."""
    digest, kept = hashlib.sha256(), []
    for path in sorted(x for x in folder.rglob("*") if x.is_file()):
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\n{path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
        if path.suffix in _KEPT_AT_ONCE and not name.startswith(_KEPT_LATER):
            kept.append(name)
    version = digest.hexdigest()[:16]
    text = f"self.SITE = {json.dumps({'version': version, 'files': kept}, indent=1)};\n"
    (folder / "files.js").write_text(text, encoding="utf-8")
