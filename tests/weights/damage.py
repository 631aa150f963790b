"""Damaged and hostile files of every kind, and what becomes of them.

    python -m tests.weights.damage --count 2400

Each ends in an error of the package's own, or is read, within a bound of memory; and
nothing that Python can see is run, unpickled or connected to.
"""

import argparse
import collections
import contextlib
import pathlib
import shutil
import sys
import tarfile
import tempfile
import time
import zipfile

import h5py
import numpy as np

from keras_effnetv2.errors import UserError
from keras_effnetv2.weights import matching, names
from keras_effnetv2.weights.files import readers
from keras_effnetv2.weights.loading import open_weights
from tests.tiny_networks import NANO
from tests.weights import hostile_pickles, torch_writer
from tests.weights.weight_files import (
    checkpoint_variables,
    random_arrays,
    timm_arrays,
    write_checkpoint,
    write_keras_2,
    write_timm,
)

# Resident memory that reading a file may add, beside what it adds for good files.
MOST_BYTES = 192 << 20
_PUBLISHED = pathlib.Path(__file__).parents[1] / "reference/torch"
# What no reading of weights may do: events of Python's auditing.
_FORBIDDEN = (
    *("pickle.find_class", "subprocess.Popen", "os.system", "os.exec"),
    *("os.fork", "os.posix_spawn", "os.spawn", "socket.connect", "ctypes.dlopen"),
)


def write_good_files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """A good file of every kind, of the smallest network."""
    arrays = random_arrays(NANO)
    raw = {k: np.ascontiguousarray(x) for k, x in timm_arrays(arrays, NANO).items()}
    value = torch_writer.mapping(torch_writer.tensors(raw))
    found = {
        "pth legacy": torch_writer.write_legacy(folder / "legacy", raw),
        "pth zip": torch_writer.write_zip(folder / "zip", value, raw.values()),
        "safetensors": write_timm(folder / "safetensors", arrays, NANO),
        "h5": write_keras_2(folder / "h5", arrays, names.APPLICATIONS, NANO),
    }
    for path in sorted(_PUBLISHED.glob("*.pth")):
        found[f"pth {path.stem}"] = path
    prefix = write_checkpoint(folder / "run/model", checkpoint_variables(arrays, NANO))
    for kind, mode in (("tgz", "w:gz"), ("tar", "w")):
        with tarfile.open(folder / kind, mode) as archive:
            archive.add(prefix.parent, "run")
        found[kind] = folder / kind
    with zipfile.ZipFile(folder / "keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", '{"config": {"layers": []}}')
        archive.write(folder / "h5", "model.weights.h5")
    found["keras"] = folder / "keras"
    with h5py.File(folder / "h5", "r") as old, h5py.File(folder / "h5z", "w") as new:
        for name in (names for names in old if names != "top_activation"):
            old.copy(name, new)
        new.attrs.update(old.attrs)
        new.create_dataset("more", (64, 64), "f4", chunks=(8, 8), compression="gzip")
    found["h5 packed"] = folder / "h5z"
    for piece in sorted(prefix.parent.iterdir()):
        found[f"checkpoint {piece.suffix[:6]}"] = piece
    return found


def damaged(content: bytes, random: np.random.Generator) -> tuple[str, bytes]:
    """What was done to the content, and what came of it."""
    size = len(content)
    # Half of all places are in the first or last kilobyte, where sizes and names are.
    edge = random.integers(2) * max(0, size - 1024) + random.integers(min(size, 1024))
    place = int(edge if random.random() < 0.5 else random.integers(size))
    kind = ("cut", "flip", "flips", "spread", "drop", "twice", "zeros")[
        random.integers(7)
    ]
    changed = bytearray(content)
    length = int(random.integers(1, 64))
    if kind == "cut":
        del changed[place:]
    elif kind == "flip":
        changed[place] ^= 1 << random.integers(8)
    elif kind == "flips":
        for i in random.integers(size, size=16):
            changed[i] ^= 1 << random.integers(8)
    elif kind == "spread":
        changed[place : place + length] = b"\xff" * length
    elif kind == "drop":
        del changed[place : place + length]
    elif kind == "twice":
        changed[place:place] = changed[place : place + length]
    else:
        changed[place : place + length] = bytes(length)
    return kind, bytes(changed)


def hostile_files(folder: pathlib.Path):
    """Names and paths of PyTorch's files of hostile pickles, in both layouts."""
    four = [np.zeros(4, np.float32)]
    path = folder / "hostile"
    for name, opcodes in hostile_pickles.everything():
        for value in (opcodes, torch_writer.mapping({"a": opcodes})):
            path.write_bytes(torch_writer.legacy(value, four))
            yield f"hostile legacy, {name}", path
            yield f"hostile zip, {name}", torch_writer.write_zip(path, value, four)


def damaged_files(folder: pathlib.Path, count: int, seed: int):
    """Names and paths of `count` damaged files, as many of every kind."""
    random = np.random.default_rng(seed)
    good = write_good_files(folder / "good")
    for i in range(count):
        kind = list(good)[i % len(good)]
        source = good[kind]
        how, content = damaged(source.read_bytes(), random)
        target = folder / "damaged"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        if kind.startswith("checkpoint"):
            for piece in source.parent.iterdir():
                shutil.copy(piece, target)
            (target / source.name).write_bytes(content)
            yield f"{kind}, {how}", target
        else:
            (target / "file").write_bytes(content)
            yield f"{kind}, {how}", target / "file"


class _Watch:
    """Counts what is forbidden, from now on: hooks of Python cannot be taken away."""

    def __init__(self) -> None:
        self.is_on, self.seen = False, []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, _: tuple) -> None:
        if self.is_on and event.startswith(_FORBIDDEN):
            self.seen.append(event)


@contextlib.contextmanager
def added_memory():
    """A list that the most resident bytes added meanwhile are put into; Linux only."""
    status, peak = pathlib.Path("/proc/self/status"), []
    is_linux = status.exists()

    def value(field: str) -> int:
        lines = status.read_text().splitlines()
        return 1024 * int(next(x for x in lines if x.startswith(field)).split()[1])

    if is_linux:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        before = value("VmRSS")
    yield peak
    peak.append(value("VmHWM") - before if is_linux else 0)


def read(path: pathlib.Path) -> str:
    """Reads a file as models do: the name of the error, or `"read"`."""
    try:
        with readers.open_arrays(path) as arrays:
            for name in arrays.shapes:
                arrays.read(name)
        with open_weights(path, NANO):
            pass
    except UserError as error:
        assert str(path) in str(error)
        return type(error).__name__
    return "read"


def check(files) -> collections.Counter:
    """Reads all files; counts them by kind and end.

    Raises:
        AssertionError: one takes too much memory, or runs something.
    """
    watch, counts = _Watch(), collections.Counter()
    for name, path in files:
        start = time.monotonic()
        with added_memory() as added:
            watch.is_on = True
            try:
                end = read(path)
            except Exception as error:
                kept = shutil.copytree if path.is_dir() else shutil.copy
                where = kept(path, pathlib.Path(tempfile.mkdtemp(), "kept"))
                raise AssertionError(f"{name}, kept in {where}: {error!r}") from error
            finally:
                watch.is_on = False
        assert added[0] <= MOST_BYTES, f"{name}: {added[0]:,} bytes"
        assert not watch.seen, f"{name}: {watch.seen}"
        counts[name.partition(",")[0], end] += 1
        counts["seconds at most"] = max(
            counts["seconds at most"], time.monotonic() - start
        )
        counts["bytes at most"] = max(counts["bytes at most"], added[0])
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2400, help="of damaged files")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    matching.VARIANTS = {}  # Of which a file is, takes long to find out.
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "good").mkdir()
        for files in (hostile_files(root), damaged_files(root, args.count, args.seed)):
            for what, count in sorted(check(files).items(), key=str):
                print(*what if isinstance(what, tuple) else (what,), count, sep="\t")


if __name__ == "__main__":
    main()
