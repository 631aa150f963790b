"""Folders that any web server hosts: a page that classifies in its visitors' browsers.

index.html, style.css   the page; page/ has its modules
model.json              what the page knows of the model, and the manifest
float16.tflite          the model, in one format
runtime/                LiteRT.js, see `runtime`
examples/               pictures to begin with
sw.js, files.js         what makes it work offline, and the files that it keeps
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
# The other files are kept for working offline when the page first asks for them.
_KEPT_AT_ONCE = (".css", ".html", ".js", ".json", ".svg")
_KEPT_LATER = ("examples", "runtime")
# Best classes that a browser must agree on before it may classify.
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
    """Exports a classifier as a web page that runs it in the browser of its visitors.

    Any web server hosts the folder, `python -m http.server --directory FOLDER` too.
    Pictures stay with the visitor, nothing comes from another host, and over https or
    on the machine itself the page works offline after the first visit. It prepares
    images as the model's evaluation does, so that scores are those of Keras up to the
    format and the browser's JPEG decoder.

    Args:
        model: a classifier of RGB images, as for `litert`.
        path: folder to write; an export that is there is replaced.
        format: `"float16"`, `"dynamic"` (half of that to download; slower, and its
            scores are further from Keras's) or `"float32"`, as for `litert`.
        title: of the page. None: the model's name.
        examples: image files, or a folder of them, that visitors can try; they are
            shrunk, and written without what cameras note in files.
        not_sure_below: best scores below it are shown as "not sure", 0 to 1.
        runtime: tarball or folder of the engine, `@litertjs/core` of npm. None: from
            npm's registry, then from the cache.
        evaluation: images to compare the format with Keras on, as for `litert`.
        image_size: side of the images, pixels. None: that of the model's evaluation.
        fold: fold batch norms into convolutions.
        classifier_activation: as for `litert`.
        source: for the manifest: which variant, which weights.

    Returns:
        The manifest that is beside the page as `model.json`.

    Raises:
        ValueError: an argument that cannot be used, or a model that cannot be exported.
        ConnectionError: the engine cannot be fetched.
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
    """Refuses arguments of `web` that no page can have.

    Raises:
        ValueError: an unknown format, or a threshold that is no share.
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
    """What the page is told of the model's file and of its engine."""
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
    """Scores of the best classes of a pattern, which every browser has to find too.

    Drivers of GPUs have computed networks wrongly, without an error.
    """
    rows, columns, channels = np.ogrid[:size, :size, :3]
    pattern = (7 * rows + 5 * columns + 80 * channels) % 256
    interpreter = engines.litert_interpreter(os.fspath(file), num_threads=1)
    outputs, _ = engines.run_litert_model(interpreter, pattern.astype("float32"))
    scores = outputs["probabilities"]
    best = np.argsort(-scores, kind="stable")[:_NUM_PROBED]
    return {str(index): float(scores[index]) for index in best}


def _write_list(folder: pathlib.Path) -> None:
    """Writes `files.js`: what the service worker keeps, and a version of it all."""
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
