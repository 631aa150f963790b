"""Old names of flags, which work with a warning until 1.0."""

import argparse
from collections.abc import Sequence
from typing import Any

from absl import logging


def add_old_name(parser: argparse.ArgumentParser, old: str, new: str) -> None:
    """Accepts the old name of a flag too, without showing it in the help.

    Args:
        parser: the parser that has the flag under its new name.
        old: name of a flag, such as `--name`.
        new: name of a flag that takes a text.
    """
    parser.add_argument(old, dest=new.removeprefix("--"), new=new, **_HIDDEN)


def add_old_position(parser: argparse.ArgumentParser, new: str) -> None:
    """Accepts a flag's value without its name, as before it was a flag.

    Args:
        parser: the parser that has the flag.
        new: name of a flag that takes a text.
    """
    parser.add_argument(new.removeprefix("--"), nargs="?", new=new, **_HIDDEN)


class _Renamed(argparse.Action):
    """Warns with the new name, and acts like that."""

    def __init__(
        self, option_strings: Sequence[str], dest: str, new: str, **options: Any
    ) -> None:
        self._new = new
        super().__init__(option_strings, dest, **options)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given = f"{option_string} {values}" if option_string else values
        logging.warning(
            "%s is now %s %s; the old form will be removed in version 1.0.",
            *(given, self._new, values),
        )
        setattr(namespace, self.dest, values)


_HIDDEN: dict[str, Any] = {
    "action": _Renamed,
    "default": argparse.SUPPRESS,
    "help": argparse.SUPPRESS,
}
