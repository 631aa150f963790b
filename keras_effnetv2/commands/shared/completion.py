"""Completion of commands, flags and names in shells, with argcomplete."""

import argparse
import os

from keras_effnetv2.errors import require_modules

SHELLS = ("bash", "zsh", "fish")
# The program that shells complete: the console script.
_PROGRAM = "keras_effnetv2"


def is_asked() -> bool:
    """Whether a shell has started this process to ask for completions."""
    return "_ARGCOMPLETE" in os.environ


def answer(parser: argparse.ArgumentParser) -> None:
    """Answers a shell that asks, and ends the process; otherwise does nothing."""
    if is_asked():
        import argcomplete

        from keras_effnetv2.commands.shared.known_names import KnownNames

        argcomplete.autocomplete(parser, default_completer=KnownNames())


def code(shell: str) -> str:
    """The code that a shell must run to get completions.

    Raises:
        ImportError: argcomplete is not installed.
    """
    require_modules("Completion needs", "completion", "argcomplete")
    from argcomplete.shell_integration import shellcode

    return shellcode([_PROGRAM], shell=shell)
