"""What a compiled step moves, and the tool's table of it."""

import json
import subprocess

import pytest

from tests.conftest import ROOT
from tests.planning.test_compiling import PYTHON, needs_libtpu
from tests.tiny_networks import NANO_FILE

TOOL = ROOT / "tools/compile_accelerator.py"
# In the words of XLA for TPUs: 3 channels take whole tiles of 8 by 128.
PROGRAM = """\
HloModule jit_step, is_scheduled=true

%fused_computation (param_0: bf16[128,10,10,24]) -> f32[24] {
  ROOT %reduce = f32[24]{0:T(256)} reduce(%param_0)
}

ENTRY %main.1 (x.1: bf16[128,10,10,24], w.1: f32[3,3]) -> f32[24] {
  %x.1 = bf16[128,10,10,24]{0,3,2,1:T(8,128)(2,1)} parameter(0), metadata={op_name="x"}
  %w.1 = f32[3,3]{1,0:T(8,128)} parameter(1)
  %copy-start = (bf16[128,10,10,24]{0,3,2,1:T(8,128)(2,1)S(1)}, \
bf16[128,10,10,24]{0,3,2,1:T(8,128)(2,1)}, u32[]{:S(2)}) copy-start(%x.1)
  %copy-done = bf16[128,10,10,24]{0,3,2,1:T(8,128)(2,1)S(1)} copy-done(%copy-start)
  ROOT %fusion.1 = (f32[24]{0:T(256)}, bf16[128,10,10,3]{3,0,2,1:T(8,128)(2,1)}) \
fusion(%copy-done, /*index=1*/%w.1), kind=kOutput, calls=%fused_computation, \
metadata={op_name="jit(step)/jvp(block1a)/conv" stack_frame_id=1}
}
"""
IMAGES = 128 * 10 * 10 * 24 * 2


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import compile_accelerator

    return compile_accelerator


def test_operations_move_whole_tiles_and_copies_a_read_and_a_write(tool):
    from accelerators.movers import find_movers

    copy, fusion = find_movers(PROGRAM)[::-1]
    assert (copy.read_bytes, copy.written_bytes) == (IMAGES, IMAGES)
    assert copy.origin == "copy-start"
    assert fusion.origin == "jit(step)/jvp(block1a)/conv"
    assert fusion.read_bytes == IMAGES + 8 * 128 * 4
    assert fusion.written_bytes == 256 * 4 + 128 * 10 * 10 * 128 * 2
    assert fusion.moved_bytes == fusion.read_bytes + fusion.written_bytes


def test_the_table_has_a_line_a_side_relative_to_the_first(tool):
    seconds = dict.fromkeys(("build_seconds", "trace_seconds", "compile_seconds"), 1)
    ours = {
        **seconds, "side": "ours", "flops": 2e9, "moved_bytes": 5e6,
        "temporary_bytes": 0,
    }  # fmt: skip
    theirs = {**ours, "side": "kimm", "moved_bytes": 2e7}
    _, first, second = tool.table([ours, theirs]).splitlines()
    assert first.split() == ["ours", "2.00", "5.0", "1.00", "0.0", "-", *["1.0"] * 3]
    assert second.split()[:4] == ["kimm", "2.00", "20.0", "4.00"]


def test_peers_that_are_not_installed_are_named(tool, monkeypatch, capsys):
    monkeypatch.setitem(tool.SIDES, "kimm", "no_such_package.models")
    assert tool.installed(["ours", "kimm"]) == ["ours"]
    assert capsys.readouterr().err == "kimm is left out: it is not installed.\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch_size", "0"], "--batch_size must be at least 1"),
        (["--device", "h7:1x1"], "the chips are"),
        (["--network", "own.json"], "add --sides ours"),
        (["--json", "no/such/folder/x.json"], "There is no folder"),
    ],
)
def test_what_cannot_be_compiled_is_refused(tool, words, message, capsys):
    with pytest.raises(SystemExit):
        tool.parse(words)
    assert message in capsys.readouterr().err


@pytest.mark.long
@needs_libtpu
def test_a_step_is_compiled_and_written_down(tmp_path):
    file = tmp_path / "figures.json"
    words = ["--network", NANO_FILE, "--sides", "ours", "--json", file]
    sizes = ["--image_size", "32", "--batch_size", "8", "--movers", "3"]
    done = subprocess.run(
        [PYTHON, TOOL, *words, *sizes], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(file.read_text())
    assert row["flops"] > 0 and row["moved_bytes"] > 0
    first = row["movers"][0]
    assert first["origin"] in done.stdout
    assert 0 < first["read_bytes"] + first["written_bytes"] < row["moved_bytes"]
    # Batch norm takes one pass for its statistics, and none for what has no gradient.
    assert not any("_var" in mover["origin"] for mover in row["movers"])
