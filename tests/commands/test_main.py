"""The command line: dispatch, help, exit codes."""

import argparse
import importlib
import pathlib
import subprocess
import sys

import pytest

from keras_effnetv2 import __main__ as command_line
from keras_effnetv2 import commands


def ending_with(error):
    def run(args):
        raise error

    return argparse.Namespace(run=run)


def shell(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "keras_effnetv2", *arguments],
        capture_output=True,
        text=True,
    )


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


def test_help_names_every_command():
    result = shell("--help")
    assert result.returncode == 0
    for name, summary in command_line.COMMANDS.items():
        assert name in result.stdout
        assert summary in " ".join(result.stdout.split())


@pytest.mark.parametrize("arguments", [[], ["bogus"], ["list", "--bogus"]])
def test_wrong_usage_ends_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        command_line.parse(["", *arguments])
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("two\nlines"), OSError("two\nlines")])
def test_an_expected_error_is_one_line_and_2(capsys, error):
    assert command_line.main(ending_with(error)) == 2
    assert capsys.readouterr().err == "error: two lines\n"


def test_a_missing_file_is_named(capsys):
    args = argparse.Namespace(run=lambda args: open("missing.h5").close())
    assert command_line.main(args) == 2
    assert "missing.h5" in capsys.readouterr().err


def test_ctrl_c_ends_with_130():
    assert command_line.main(ending_with(KeyboardInterrupt())) == 130


def test_an_unexpected_error_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        command_line.main(ending_with(ZeroDivisionError()))


def test_the_exit_code_reaches_the_shell():
    result = shell("profile", "efficientnetv3", "--no-measure")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("error: Unknown variant")
    assert "Traceback" not in result.stderr
