"""LiteRT.js, the engine of pages: verified files from npm or from this machine.

Why this engine: EfficientNet-Lite0 at 224 pixels in Chromium 150, a photograph, medians
of 20 runs in milliseconds on two busy cores, three rounds:

| engine, model | 1 thread | 2 threads | first result | engine + model, MB |
| --- | --- | --- | --- | --- |
| LiteRT.js 2.5.3, float16 | 46 to 85 | 21 to 29 | 544 to 844 | 9.4 + 9.3 |
| LiteRT.js 2.5.3, float32 | 58 to 84 | | 326 to 486 | 9.4 + 18.6 |
| LiteRT.js 2.5.3, dynamic | 135 to 188 | 116 to 178 | 350 to 443 | 9.4 + 5.0 |
| ONNX Runtime Web 1.30.0, float32 | 68 to 101 | 57 to 63 | 886 to 1,100 | 14.2 + 18.6 |

Both run under a content security policy without `unsafe-eval`. The format `dynamic` is
slower because the fast WebAssembly kernels do not support its layers.
"""

import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess
import tarfile

from keras_effnetv2.errors import DownloadError, InputError
from keras_effnetv2.weights.downloads.download import fetch

PACKAGE, VERSION, LICENSE = "@litertjs/core", "2.5.3", "Apache-2.0"
_TARBALL_SHA256 = "a97660833e9e7e1063c95e12016718881240b14f7438728a2f62785e912d30fd"
_REGISTRY = "https://registry.npmjs.org"
# Environment variables that npm itself reads.
_REGISTRY_VARIABLES = ("npm_config_registry", "NPM_CONFIG_REGISTRY")
_NPM_SECONDS = 20
_LEVEL = 6  # Of gzip: 9.4 MB become 2.9; higher levels take seconds for 1% more.

# File of the package -> SHA-256. A visitor's browser loads the module and one pair.
_FILES = {
    "dist/index.js": "e7daccc3a31eef890848a737ccb863ded5f046a6b40c3fdc0556495adeb5d9b3",
    "wasm/litert_wasm_compat_internal.js": (
        "4d8f894b7883654fd6e8439730aa41e79ceaab7d19184fc4f1f0b0f1a2a2c8a5"
    ),
    "wasm/litert_wasm_compat_internal.wasm": (
        "5255c8ad06eabdbd2522cdebf6b22fc10faf74625c23a49b9e072570cd1fa41c"
    ),
    "wasm/litert_wasm_internal.js": (
        "68efb69f770e3f76aff36a377de629ca496c131b86ac0f0f4b592a1543a898eb"
    ),
    "wasm/litert_wasm_internal.wasm": (
        "7280cf4471774867e385e6c3cd53e2b45e2975b80fea338fff4ef359b0865614"
    ),
    "wasm/litert_wasm_jspi_internal.js": (
        "e685a3ed86f447c1feb8f5414319539c5e94d1cfc0eb49c3c5e6a788a6f5541b"
    ),
    "wasm/litert_wasm_jspi_internal.wasm": (
        "a103e14db26cdbda9ba1a93633e59f3bf604d082fa7ab0c30ca730838e3faa69"
    ),
    "wasm/litert_wasm_threaded_internal.js": (
        "92fe7a720c6deedaa1194c011c79a005ea4f6fc98f533b661cf7900760ab4849"
    ),
    "wasm/litert_wasm_threaded_internal.wasm": (
        "b5e54eca10f043497edf9a02186332707cae260c550d7ea22b2cae55669596cf"
    ),
}
_MODULE = "dist/index.js"
# The module imports another package by a bare name, which browsers cannot resolve; the
# page has a file of its own instead.
_FOREIGN_IMPORT = b'from "@litertjs/wasm-utils"'
_OWN_IMPORT = b'from "../page/wasm_loading.js"'

_REMEDY = (
    f"Where npm is reachable, `npm pack {PACKAGE}@{VERSION}` writes the file; pass it "
    "as runtime (on the command line --runtime)."
)


def open_runtime(path: str | os.PathLike | None) -> dict[str, bytes]:
    """The files of the engine, by their names in a site's folder `runtime`.

    Args:
        path: the tarball of `npm pack`, or a folder where the package is installed or
            unpacked. None: downloaded once from npm's registry, as configured for npm;
            then from Keras's cache.

    Raises:
        ValueError: no such file or folder, or files that are damaged or of another
            version.
        ConnectionError: the registry does not answer.
    """
    local = _fetch() if path is None else pathlib.Path(path).expanduser()
    contents = _read_folder(local) if local.is_dir() else _read_tarball(local)
    for name, digest in _FILES.items():
        if hashlib.sha256(contents.get(name, b"")).hexdigest() != digest:
            raise InputError(f"{local} has no {name} of {PACKAGE} {VERSION}. {_REMEDY}")
    module = contents.pop(_MODULE).replace(_FOREIGN_IMPORT, _OWN_IMPORT)
    files = {"litert.js": module, "README.txt": _readme().encode()}
    for name, data in contents.items():
        name = pathlib.PurePosixPath(name).name
        if name.endswith(".wasm"):  # Most web servers do not compress it.
            name, data = f"{name}.gz", gzip.compress(data, _LEVEL, mtime=0)
        files[name] = data
    return files


def _fetch() -> pathlib.Path:
    name = PACKAGE.rpartition("/")[2]
    url = f"{_registry()}/{PACKAGE}/-/{name}-{VERSION}.tgz"
    try:
        return fetch(url, f"sha256:{_TARBALL_SHA256}")
    except DownloadError as error:
        raise DownloadError(
            f"The page's engine, {PACKAGE} {VERSION}, cannot be downloaded: {error} "
            f"{_REMEDY}"
        ) from error


def _registry() -> str:
    """The registry that npm would use, without a trailing slash."""
    for variable in _REGISTRY_VARIABLES:
        if value := os.environ.get(variable):
            return value.rstrip("/")
    npm = shutil.which("npm")
    if npm is not None:
        command = [npm, "config", "get", "registry"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_NPM_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired):
            return _REGISTRY
        if done.stdout.startswith("http"):
            return done.stdout.strip().rstrip("/")
    return _REGISTRY


def _read_tarball(path: pathlib.Path) -> dict[str, bytes]:
    """The files in the tarball; only these are unpacked, in memory."""
    found = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.removeprefix("package/")
                file = archive.extractfile(member) if name in _FILES else None
                if file is not None:
                    found[name] = file.read()
    except (OSError, EOFError, tarfile.TarError) as error:
        raise InputError(
            f"{path} cannot be read as an npm package: {error}. {_REMEDY}"
        ) from error
    return found


def _read_folder(folder: pathlib.Path) -> dict[str, bytes]:
    """The files in a folder: the package's, or one that npm installs it in."""
    for place in (folder, folder / PACKAGE, folder / "node_modules" / PACKAGE):
        if (place / _MODULE).is_file():
            return {
                name: (place / name).read_bytes()
                for name in _FILES
                if (place / name).is_file()
            }
    raise InputError(
        f"{folder} does not contain {PACKAGE}: {_MODULE} is missing. {_REMEDY}"
    )


def _readme() -> str:
    return (
        f"{PACKAGE} {VERSION}, {LICENSE}, https://www.npmjs.com/package/{PACKAGE}\n"
        "litert.js is its dist/index.js, with the import of @litertjs/wasm-utils "
        "replaced\nby one of this site; the other files are as published, WebAssembly "
        "compressed.\n"
    )
