"""The command line: dispatch, help, exit codes."""

import argparse
import errno
import importlib
import importlib.metadata
import io
import pathlib
import sys

import pytest

import keras_effnetv2
from keras_effnetv2 import __main__ as command_line
from keras_effnetv2 import commands, errors
from tests import forked


def ending_with(error):
    def run(args):
        raise error

    return argparse.Namespace(run=run)


def test_an_output_of_any_encoding_takes_any_name(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    monkeypatch.setattr(sys, "argv", ["keras_effnetv2", "list"])
    monkeypatch.setattr(command_line, "main", lambda _: print("K\u00e4se", "\udce9"))
    with pytest.raises(SystemExit):
        command_line.run()
    sys.stdout.flush()
    assert written.getvalue() == b"K\\xe4se \\udce9\n"


def test_every_command_has_its_module():
    modules = pathlib.Path(commands.__file__).parent.glob("[!_]*.py")
    assert {path.stem for path in modules} == set(command_line.COMMANDS)


@pytest.mark.parametrize("name", command_line.COMMANDS)
def test_every_command_explains_itself(capsys, name):
    with pytest.raises(SystemExit) as stop:
        command_line.parse(["", name, "--help"])
    assert stop.value.code == 0
    assert command_line.COMMANDS[name] in " ".join(capsys.readouterr().out.split())
    assert importlib.import_module(f"keras_effnetv2.commands.{name}").run.__doc__


def test_versions_are_those_that_run(capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.parse(["", "--version"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"keras_effnetv2 {keras_effnetv2.__version__} (Python 3.")
    assert f"keras {importlib.metadata.version('keras')}" in printed


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.parse(["", "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    for name, summary in command_line.COMMANDS.items():
        assert name in printed
        assert summary in " ".join(printed.split())


@pytest.mark.parametrize("arguments", [[], ["bogus"], ["list", "--bogus"]])
def test_wrong_usage_ends_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        command_line.parse(["", *arguments])
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [errors.InputError, errors.FileError])
def test_an_error_meant_for_users_keeps_its_lines_and_ends_with_2(capsys, kind):
    assert command_line.main(ending_with(kind("two\n  lines"))) == 2
    assert capsys.readouterr().err == "error: two\n  lines\n"


def test_a_missing_file_is_named(capsys):
    args = argparse.Namespace(run=lambda args: open("missing.h5").close())
    assert command_line.main(args) == 2
    assert "missing.h5" in capsys.readouterr().err


def test_ctrl_c_ends_with_130():
    assert command_line.main(ending_with(KeyboardInterrupt())) == 130


@pytest.mark.parametrize("kind", [ZeroDivisionError, ValueError, OSError, ImportError])
def test_a_bug_of_ours_keeps_its_traceback_and_asks_for_a_report(capsys, kind):
    with pytest.raises(kind):
        command_line.main(ending_with(kind("inside")))
    assert "bug in keras_effnetv2" in capsys.readouterr().err


def test_what_the_system_refuses_is_meant_for_users(capsys):
    error = OSError(errno.ENOSPC, "No space left on device", "runs/mine/x")
    assert command_line.main(ending_with(error)) == 2
    assert "runs/mine/x" in capsys.readouterr().err


def test_the_exit_code_reaches_the_shell(tmp_path):
    words = ["-m", "keras_effnetv2", "profile", "--variant", "efficientnetv3"]
    process = forked.Process(words, tmp_path / "log")
    assert process.wait() == 2
    printed = process.log.read_text()
    assert printed.splitlines()[-1].startswith("error: Unknown variant")
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("--batch-size=3 --image-size 64 --no-measure", (3, 64, False)),
        ("--batch_size 3 --image_size=64 --no-measure", (3, 64, False)),
    ],
)
def test_dashes_are_as_good_as_underscores(given, names):
    args = command_line.parse(["", "profile", "--variant", "x", *given.split()])
    assert (args.batch_size, args.image_size, args.measure) == names


def test_only_the_names_of_flags_may_have_dashes():
    words = ["", "convert", "a-b", "c-d", "--variant=e-f", "--no-include-top"]
    args = command_line.parse(words)
    assert (args.source, args.destination, args.variant) == ("a-b", "c-d", "e-f")
    assert args.include_top is False
