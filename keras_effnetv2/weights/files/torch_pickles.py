"""The pickles in PyTorch's files, read as data.

Python's own unpickler runs what a pickle names, allocates the memory that it claims and
hashes what it nests. Here nothing is imported, called or built: names are compared with
the few that state dicts need, and any other is an error.

Sources: Python's `pickletools`; PyTorch 2.14, `torch/_utils.py` and
`torch/serialization.py`.
"""

import dataclasses
import math
import pathlib
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from keras_effnetv2.errors import InputError
from keras_effnetv2.weights.files.arrays import damaged

FORMAT = "PyTorch"

# L2 has 0.08 million, and 0.5 million with moving averages and an optimizer's slots.
_MAX_OPCODES = 1 << 20
_MAX_INTEGER = 1 << 63
_MAX_DIMENSIONS = 8
_MAX_ELEMENTS = 1 << 36  # L2 has 2 ** 29.

_STORAGES = {
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.DoubleStorage": "float64",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
}
# Objects that training scripts store next to a state dict, and that are ignored here.
_OTHERS = {
    "argparse.Namespace",
    "collections.Counter",
    "torch.device",
    *(f"torch.{dtype}" for dtype in _STORAGES.values()),
}


@dataclasses.dataclass(frozen=True)
class Storage:
    """Numbers in the file: `count` of a type, under a key."""

    key: str
    dtype: str
    count: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An array within a storage; offset and strides in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def extent(self) -> int:
        """Number of elements of the storage from the first to the last."""
        if 0 in self.shape:
            return 0
        steps = zip(self.shape, self.strides, strict=True)
        return 1 + sum((size - 1) * stride for size, stride in steps)


@dataclasses.dataclass(frozen=True)
class _Name:
    """A function or a class that a pickle names."""

    name: str


class _Other:
    """A value that is not part of a state dict."""


_OTHER = _Other()


def read_pickle(path: pathlib.Path, file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """The value of the pickle at the position of `file`, and the storages it names.

    Dictionaries, lists, tuples, strings and numbers are returned as such, arrays as
    `Tensor`.

    Args:
        path: path of the file, for messages.
        file: file in memory, which is read up to the end of the pickle.

    Raises:
        ValueError: damaged, or it names what state dicts do not need.
    """
    machine = _Machine(path)
    try:
        return machine.run(file), machine.storages
    except InputError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        reason = f"its pickle is truncated or invalid: {str(error)[:200]}"
        raise damaged(path, FORMAT, reason) from None


class _Machine:
    """A stack of values, with marks, and a memo."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def run(self, file: BinaryIO) -> Any:
        """The value that the opcodes produce."""
        for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if number >= _MAX_OPCODES:
                raise ValueError(f"it has more than {_MAX_OPCODES:,} steps")
            step = _STEPS.get(opcode.name)
            if step is None:
                raise self._refused(f"has the opcode {opcode.name}")
            step(self, argument)
        (value,) = self._stack
        return value

    def _refused(self, what: str) -> InputError:
        return InputError(
            f"{self._path} is a PyTorch file whose pickle {what}, which a state dict "
            "does not need, and which could run any program. It is not read: save "
            "only the arrays, with torch.save(model.state_dict(), FILE)."
        )

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        if self._marks and len(self._stack) <= self._marks[-1]:
            raise ValueError("nothing is left above a mark")
        return self._stack.pop()

    def top(self, kind: type) -> Any:
        value = self._stack[-1]
        if not isinstance(value, kind):
            raise TypeError(f"{kind.__name__} expected, {type(value).__name__} found")
        return value

    def mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def pop_mark(self) -> list[Any]:
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def pop_tuple(self, size: int) -> None:
        values = [self.pop() for _ in range(size)]
        self.push(tuple(reversed(values)))

    def append(self, values: list[Any]) -> None:
        self.top(list).extend(values)

    def set_items(self, values: list[Any]) -> None:
        found = self.top(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int):
                raise TypeError(f"a key is of type {type(key).__name__}")
            found[key] = value

    def put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def memoize(self, _: Any) -> None:
        self.put(len(self._memo))

    def get(self, index: int) -> None:
        self.push(self._memo[index])

    def name(self, text: str) -> None:
        """A global, `module name`."""
        name = text.replace(" ", ".")
        if name not in _CALLS and name not in _STORAGES and name not in _OTHERS:
            raise self._refused(f"names {name[:200]!r}")
        self.push(_Name(name))

    def stack_name(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name is not a string")
        self.name(f"{module} {name}")

    def call(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise TypeError("what is called is not a name")
        if function.name not in _CALLS and function.name not in _OTHERS:
            raise TypeError(f"{function.name} is called")
        self.push(_CALLS.get(function.name, lambda *_: _OTHER)(*arguments))

    def build(self, _: Any) -> None:
        """Attributes of an object, none of which is used."""
        self.pop()
        if not isinstance(self._stack[-1], dict | _Other):
            raise TypeError("attributes are set")

    def persistent(self, _: Any) -> None:
        """A storage: its kind, type, key, device and count."""
        kind, type_, key, device, count, *view = self.pop()
        if (
            kind != "storage"
            or not isinstance(type_, _Name)
            or view not in ([], [None])
        ):
            raise ValueError("a persistent id is not a storage's")
        if not isinstance(key, str) or not isinstance(device, str):
            raise TypeError("a storage has no key or no device")
        storage = Storage(key, _STORAGES[type_.name], *_integers((count,)))
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"storage {key[:50]!r} exists twice")
        self.push(storage)


def _integers(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple) or len(values) > _MAX_DIMENSIONS:
        raise TypeError(f"not a tuple of at most {_MAX_DIMENSIONS} integers")
    if not all(isinstance(x, int) and 0 <= x < _MAX_INTEGER for x in values):
        raise ValueError("a size, stride or offset is not between 0 and 2 ** 63")
    return values


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    if not isinstance(storage, Storage):
        raise TypeError("a tensor has no storage")
    (offset,) = _integers((offset,))
    tensor = Tensor(storage, offset, _integers(shape), _integers(strides))
    elements = math.prod(tensor.shape)
    # In an empty array, all sides except one could have any size.
    if math.prod(max(size, 1) for size in tensor.shape) > _MAX_ELEMENTS:
        raise ValueError(f"a tensor has shape {tensor.shape}")
    # An expanded array would claim elements that are not stored.
    if offset + max(tensor.extent, elements) > storage.count:
        raise ValueError(
            f"a tensor of shape {tensor.shape} reaches beyond the {storage.count:,} "
            "elements of its storage"
        )
    return tensor


_CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": lambda: {},
    "torch.Size": _integers,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_tensor_v2": _tensor,
}

_VALUES = (
    *("BINFLOAT", "BININT", "BININT1", "BININT2", "LONG1"),
    *("BINUNICODE", "SHORT_BINUNICODE"),
)
# The action of each opcode on its argument; all others are refused.
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, _: None),
    **dict.fromkeys(_VALUES, _Machine.push),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "MARK": _Machine.mark,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_mark())),
    "TUPLE1": lambda machine, _: machine.pop_tuple(1),
    "TUPLE2": lambda machine, _: machine.pop_tuple(2),
    "TUPLE3": lambda machine, _: machine.pop_tuple(3),
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_mark()),
    "SETITEM": lambda machine, _: machine.set_items(
        [machine.pop(), machine.pop()][::-1]
    ),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
}
