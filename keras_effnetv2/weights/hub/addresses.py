"""Addresses of repositories: `hf://USER/REPO[@REVISION]`, or a folder of the files."""

import dataclasses
import os
import re

from keras_effnetv2.errors import InputError

PREFIX = "hf://"
CONFIG = "config.json"

# The Hub does not allow longer names. Its library reports other invalid ones.
_PART = r"[A-Za-z0-9][\w.-]{0,95}"
_ADDRESS = re.compile(
    rf"hf://(?P<repository>{_PART}/{_PART})(@(?P<revision>[\w.-]+(/[\w.-]+)*))?",
    re.ASCII,
)


@dataclasses.dataclass(frozen=True)
class Address:
    """A repository of the Hub.

    Attributes:
        repository: `USER/REPO`.
        revision: a branch, a tag or a commit; None for the main branch.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{PREFIX}{self.repository}{revision}"


def is_address(name: str | os.PathLike) -> bool:
    """Whether it is an address on the Hub."""
    return isinstance(name, str) and name.startswith(PREFIX)


def is_folder(name: str | os.PathLike) -> bool:
    """Whether it is a folder with a repository's configuration."""
    return os.path.isfile(os.path.join(os.path.expanduser(name), CONFIG))


def is_repository(name: str | os.PathLike) -> bool:
    """Whether it names weights that state their network."""
    return is_address(name) or is_folder(name)


def parse(text: str) -> Address:
    """The repository that an address names.

    Raises:
        ValueError: it is not an address.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or ".." in text:
        raise InputError(
            "An address on the Hugging Face Hub is hf://USER/REPO or "
            f"hf://USER/REPO@REVISION. Received: {text[:200]!r}."
        )
    return Address(match["repository"], match["revision"])
