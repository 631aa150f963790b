"""Measured costs in a file, so that each device is measured only once.

The folder is `step_times` in Keras's folder, `$KERAS_HOME` or `~/.keras`. A file that
is damaged, or of something else, is ignored, and costs are measured again.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_effnetv2.errors import InputError
from keras_effnetv2.files import locked, replace_file
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.networks.variant_files import from_json, to_fields, to_json
from keras_effnetv2.search.costs.block_shapes import block_shapes
from keras_effnetv2.search.costs.workload import Workload, device_name

_LOG = logging.getLogger(__name__)

# Version of the file's layout and of the way of measuring; increased with each change.
_FORMAT = "keras_effnetv2 step costs, version 1"
# A block takes 70 bytes, a network 2,000.
_MAX_BYTES = 10_000_000
# No step takes 1,000 times the backbone's, or a whole day.
_MAX_SHARE, _MAX_SECONDS = 1000.0, 86_400.0


@dataclasses.dataclass
class Costs:
    """The measurements so far, relative to the backbone's step in the same rounds.

    Attributes:
        seconds: time of the backbone's step, the median of each group of measurements.
        blocks: name of a `BlockShape` -> additional time of a step with it.
        networks: `(variant, relative time)` of whole networks.
    """

    seconds: list[float] = dataclasses.field(default_factory=list)
    blocks: dict[str, float] = dataclasses.field(default_factory=dict)
    networks: list[tuple[Variant, float]] = dataclasses.field(default_factory=list)


class CostCache:
    """The file of a backbone's costs on this device with these versions.

    Args:
        backbone: the network that costs are relative to.
        workload: workload of the steps.
        folder: folder of the files; None: in Keras's folder.
    """

    def __init__(
        self,
        backbone: Variant,
        workload: Workload,
        folder: str | os.PathLike | None = None,
    ) -> None:
        self._key = _key(backbone, workload)
        self._image_size = workload.image_size
        digest = hashlib.sha256(json.dumps(self._key, sort_keys=True).encode())
        folder = pathlib.Path(folder) if folder else _default_folder()
        self.path = folder / f"{digest.hexdigest()[:16]}.json"

    def read(self) -> Costs:
        """The contents of the file; empty if there is none, or it cannot be trusted."""
        if not self.path.is_file():  # A pipe would block.
            return Costs()
        try:
            with self.path.open("rb") as file:
                contents = file.read(_MAX_BYTES + 1)
        except OSError as error:
            _LOG.warning("%s cannot be read: %s.", self.path, error.strerror)
            return Costs()
        try:
            if len(contents) > _MAX_BYTES:
                raise InputError(f"it has more than {_MAX_BYTES:,} bytes")
            return self._parsed(json.loads(contents))
        except (ValueError, RecursionError) as error:
            _LOG.warning(
                "%s holds no step costs (%s); measuring them again.", self.path, error
            )
            return Costs()

    def write(self, costs: Costs) -> None:
        """Stores costs atomically; warns if the file cannot be written."""
        contents = {
            "key": self._key,
            "seconds": costs.seconds,
            "blocks": costs.blocks,
            "networks": [
                [to_json(network), share] for network, share in costs.networks
            ],
        }
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self.path, json.dumps(contents, indent=1).encode())
        except OSError as error:
            _LOG.warning("%s cannot be written: %s.", self.path, error.strerror)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lets only one process measure; others wait, and then find the file.

        If the folder cannot be written to, nothing is locked.
        """
        with contextlib.ExitStack() as stack:
            try:
                path = self.path.with_suffix(".lock")
                stack.enter_context(locked(path, f"measures {self.path}"))
            except OSError as error:
                _LOG.warning("%s cannot be locked: %s.", self.path, error)
            yield

    def _parsed(self, contents: Any) -> Costs:
        """Parses and checks the file.

        Raises:
            ValueError: anything that `write` would not write.
        """
        fields = ("key", "seconds", "blocks", "networks")
        if not isinstance(contents, dict) or set(contents) != set(fields):
            raise InputError("it has other fields")
        key, seconds, blocks, networks = (contents[field] for field in fields)
        if key != self._key:
            raise InputError("it is of another device, version, backbone or step")
        kinds = isinstance(seconds, list), isinstance(networks, list)
        if not all((*kinds, isinstance(blocks, dict))):
            raise InputError("its lists are not lists")
        for value in seconds:
            _check_number(value, _MAX_SECONDS, is_zero_allowed=False)
        for value in blocks.values():
            _check_number(value, _MAX_SHARE)
        if (blocks or networks) and not seconds:
            raise InputError("it lacks the backbone's step")
        costs = Costs(seconds, blocks, [_network(row) for row in networks])
        for network, _ in costs.networks:
            if any(
                x.name not in blocks for x in block_shapes(network, self._image_size)
            ):
                raise InputError("a network has blocks that it lacks")
        return costs


def _key(backbone: Variant, workload: Workload) -> dict[str, Any]:
    """What costs depend on, as JSON."""
    import tensorflow as tf

    key = {
        "format": _FORMAT,
        "device": device_name(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "backbone": to_fields(dataclasses.replace(backbone, name="backbone")),
        **dataclasses.asdict(workload),
    }
    return json.loads(json.dumps(key))


def _network(row: Any) -> tuple[Variant, float]:
    if not isinstance(row, list) or len(row) != 2 or not isinstance(row[0], str):
        raise InputError("a network is not a pair")
    _check_number(row[1], _MAX_SHARE, is_zero_allowed=False)
    return from_json(row[0]), row[1]


def _check_number(value: Any, high: float, is_zero_allowed: bool = True) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not (0 < value <= high or (is_zero_allowed and value == 0)):
        raise InputError(f"{str(value)[:40]} is not a time")


def _default_folder() -> pathlib.Path:
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    return pathlib.Path(home).expanduser() / "step_times"
