"""Pickles that would do harm, or make no sense, by what they try."""

import os
import pickle
import struct

from tests.weights.torch_writer import (
    ORDERED_DICT,
    integer,
    integers,
    mapping,
    storage,
    tensor,
    text,
)

# What a pickle could run, if it were asked to.
FUNCTIONS = (
    *("os system", "posix system", "nt system", "posix popen", "subprocess Popen"),
    *("builtins eval", "builtins exec", "builtins getattr", "builtins __import__"),
    *("__builtin__ eval", "__builtin__ getattr", "builtins open", "builtins bytearray"),
    *("importlib import_module", "runpy run_path", "pickle loads", "marshal loads"),
    *("operator attrgetter", "operator methodcaller", "functools partial"),
    *("types FunctionType", "types CodeType", "codecs encode", "_codecs encode"),
    *(
        "shutil rmtree",
        "webbrowser open",
        "socket create_connection",
        "copyreg __newobj__",
    ),
    *(
        "torch load",
        "torch.hub load",
        "torch.jit load",
        "torch _utils",
        "torch nn.Module",
    ),
    *("torch._utils _rebuild_tensor_v2.__globals__", "torch._utils", "numpy load"),
    *(
        "torch.serialization load",
        "torch.storage _load_from_bytes",
        "collections deque",
    ),
    *(
        "collections OrderedDict.fromkeys",
        "argparse FileType",
        "torch FloatStorage.new",
    ),
)
GOOD = storage("0", "FloatStorage", 4)
_VALUE = tensor(GOOD, 0, (2, 2), (2, 1))


class Harmful:
    """Makes a folder where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def calls():
    """Opcodes that name a function and call it, in every way that there is."""
    argument = text("unpickled")
    for name in FUNCTIONS:
        module, _, function = name.partition(" ")
        plain = f"{module}\n{function}\n".encode()
        yield name, b"c" + plain + b"(" + argument + b"tR"
        yield (
            f"{name}, stack",
            text(module) + text(function) + b"\x93" + argument + b"\x85R",
        )
    name = b"posix\nmkdir\n"
    yield "INST", b"(" + argument + b"i" + name
    yield "OBJ", b"(c" + name + argument + b"o"
    yield "NEWOBJ", b"c" + name + argument + b"\x85\x81"
    yield "NEWOBJ_EX", b"c" + name + argument + b"\x85}\x92"
    yield "EXT1", b"\x82\x01"
    yield "EXT4", b"\x84\x01\x00\x00\x00"
    yield "PERSID", b"Punpickled\n"
    yield "BUILD", _VALUE + mapping({"__class__": b"c" + name}) + b"b"
    yield "attributes", ORDERED_DICT + mapping({"__setstate__": b"c" + name}) + b"b"
    for protocol in range(6):
        yield f"protocol {protocol}", pickle.dumps(Harmful(), protocol)[:-1]


def tensors():
    """Arrays that reach beyond their storage, or are of something else."""
    for offset, shape, strides in (
        *((1, (2, 2), (2, 1)), (-1, (2,), (1,)), (5, (), ()), (4, (1,), (1,))),
        *((0, (2, 3), (3, 1)), (0, (2,), (4,)), (0, (2,), (-1,)), (0, (-2,), (1,))),
        *((0, (10**9,), (0,)), (0, (2**40, 2**40), (0, 0)), (0, (2**63,), (1,))),
        *((0, (2,), (2**63,)), (0, (2**500,), (1,)), (2**500, (1,), (1,))),
        *((0, (1,) * 9, (1,) * 9), (0, (2, 2), (1,)), (0, (2,), (1, 1))),
        *((0, (0, 2**62), (1, 1)), (5, (0,), (1,))),
    ):
        yield f"tensor {offset} {shape} {strides}", tensor(GOOD, offset, shape, strides)
    function = b"ctorch._utils\n_rebuild_tensor_v2\n"
    for what in (b")", b"N", b"(" + GOOD + b"t", b"(K\x00K\x00))t", GOOD, b"]", b"}"):
        yield f"arguments {what[:9]}", function + what + b"R"
    for shape in (
        b"](K\x02e",
        b"N",
        b"G" + bytes(8) + b"\x85",
        text("2"),
        b"\x88\x85\x85",
    ):
        parts = b"(" + GOOD + b"K\x00" + shape + integers((1,)) + b"\x89Nt"
        yield f"shape {shape}", function + parts + b"R"
    for name in ("OrderedDict", "Size"):
        module = "collections" if name == "OrderedDict" else "torch"
        yield f"{name} of a list", f"c{module}\n{name}\n".encode() + b"](K\x01e\x85R"
    yield "parameter of nothing", b"ctorch._utils\n_rebuild_parameter\n)R"
    yield "a name as a tensor", b"ctorch\nFloatStorage\n"


def persistent_ids():
    kind = b"ctorch\nFloatStorage\n"
    parts = [text("storage"), kind, text("0"), text("cpu"), integer(4)]
    yield "too many", b"(" + b"".join(parts) + b"NNNtQ"
    yield "a view", b"(" + b"".join(parts) + b"(" + text("1") + b"K\x00K\x01ttQ"
    for count in range(5):
        yield f"of {count}", b"(" + b"".join(parts[:count]) + b"tQ"
    for place, other in (
        *((0, text("module")), (0, b"]"), (1, text("FloatStorage")), (1, b"N")),
        *(
            (1, b"ctorch\nfloat32\n"),
            (1, b"ccollections\nOrderedDict\n"),
            (2, b"K\x00"),
        ),
        *((2, text("../0")), (2, text("1" * 9999)), (3, b"N"), (4, integer(-4))),
        *((4, integer(2**62)), (4, integer(2**2000)), (4, b"N"), (4, text("4"))),
    ):
        changed = b"".join([*parts[:place], other, *parts[place + 1 :]])
        broken = b"(" + changed + b"tQ"
        yield f"part {place} is {other[:20]}", tensor(broken, 0, (2, 2), (2, 1))
    for whole in (b"N", b"K\x01", text("storage"), b"]", b"}", GOOD):
        yield f"whole {whole[:20]}", whole + b"Q"
    yield (
        "twice, of other counts",
        (b"(" + GOOD + storage("0", "FloatStorage", 5) + b"t"),
    )
    yield (
        "twice, of other types",
        (b"(" + GOOD + storage("0", "DoubleStorage", 4) + b"t"),
    )


def sizes(many=1_100_000):
    """More than is there, or than anybody needs."""
    huge = struct.pack("<Q", 1 << 62)
    for opcode in (b"\x8d", b"\x8e", b"\x96"):  # Strings and bytes by 8-byte lengths.
        yield f"length {opcode}", opcode + huge + b"abc"
    for opcode in (b"X", b"T", b"B", b"\x8b"):
        yield f"length {opcode}", opcode + struct.pack("<I", (1 << 31) - 1) + b"abc"
    yield "frame", b"\x95" + huge + b"N"
    yield "put", b"Nr" + struct.pack("<I", (1 << 32) - 1)
    yield "get", b"j" + struct.pack("<I", (1 << 32) - 1)
    yield "integer", b"\x8b" + struct.pack("<I", 100_000) + b"\x7f" * 100_000
    yield "digits", b"L" + b"9" * 100_000 + b"L\n"
    for opcode in (b"(", b"}", b"]", b"N", b")", b"N0", b"Nq\x00"):
        yield f"many {opcode}", opcode * many
    yield "megabytes of a string", text("x" * (9 << 20))
    yield "a line without an end", b"c" + b"x" * 100_000


def recursion(deep=200_000):
    """Values in themselves, deep ones, and few that stand for very many."""
    yield "list in itself", b"]q\x00h\x00a"
    yield "dictionary in itself", b"}q\x00" + text("model") + b"h\x00s"
    yield "deep tuple", b")" + b"\x85" * deep
    yield "deep lists", b"]" * deep + b"a" * (deep - 1)
    nested = b")" + b"\x85" * deep
    yield "deep key", b"}" + nested + b"K\x01s"
    yield "deep name", nested + nested + b"\x93"
    yield "deep shape", tensor(GOOD, 0, (), ())[:-1] + nested + b"R"
    laughs = text("ha") + b"q\x00" + b"h\x00h\x00\x86q\x00" * 200
    yield "laughs", laughs
    yield "laughs as key", b"}" + laughs + b"K\x01s"
    yield "laughs as name", laughs + b"h\x00\x93"
    yield "laughs as persistent id", laughs + b"Q"
    yield "laughs as arguments", ORDERED_DICT[:-2] + laughs + b"R"
    yield "laughs as state", ORDERED_DICT + laughs + b"b"


def nonsense():
    """No pickle that a pickler writes."""
    for opcode in range(256):
        yield f"opcode {opcode}", bytes([opcode])
    for broken in (
        *(b"", b"0", b"1", b"t", b"u", b"e", b"s", b"a", b"R", b"b", b"Q", b"\x85"),
        *(
            b"NN",
            b"(",
            b"N(0",
            b"N(\x85",
            b"ctorch\nFloatStorage\n)R",
            b"}(K\x01u",
            b"}(K\x01K\x02K\x03u",
            b"](K\x01u",
            b"N(K\x01e",
        ),
        *(b"}]Ns", b"}}Ns", b"}G" + bytes(8) + b"Ns", b"NNb", b"K\x01)R", b"h\x05"),
        *(b"X\xff\xff\xff\xffab", b"X\x02\x00\x00\x00\xff\xfe", b"ctorch\n", b"c\n\n"),
    ):
        yield f"opcodes {broken}", broken
    for name in ("n" * 300, "\x1b[31m", "a\nb", "\u202e"):
        yield f"name {name[:9]!r}", mapping({name: _VALUE})
    yield "surrogate", b"}X\x03\x00\x00\x00\xed\xa0\x80" + _VALUE + b"s"
    yield "no state dict", mapping({"epoch": b"K\x01"})
    yield "nothing", b"}"
    yield "a tensor alone", _VALUE
    yield "numbers for names", b"}K\x01" + _VALUE + b"K\x02" + _VALUE + b"ss"


def everything():
    """All of the above, with names that tell them apart."""
    for family in (calls, tensors, persistent_ids, sizes, recursion, nonsense):
        for name, opcodes in family():
            yield f"{family.__name__}: {name}", opcodes
