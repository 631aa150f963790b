"""Commands in containers' conditions: each is process 1 of a host of the same name."""

import functools
import shutil
import subprocess

import pytest

_UNSHARE = (
    "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "--mount",
    "sh", "-c",
)  # fmt: skip


def command(parts, read_only=None):
    """The command, which sees the folder `read_only` without a right to write there."""
    script = 'hostname same && exec "$@"'
    if read_only is not None:
        bind = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"'
        script = f"{bind} && {script}"
    return [*_UNSHARE, script, str(read_only), *map(str, parts)]


@functools.cache
def problem():
    """Why this machine makes no containers; None if it does."""
    if shutil.which("unshare") is None:
        return "needs unshare, of Linux"
    parts = ["sh", "-c", "echo $$ $(hostname)"]
    found = subprocess.run(command(parts), capture_output=True, text=True)
    if found.stdout.split() != ["1", "same"]:
        return f"may not make namespaces: {found.stderr.strip()}"
    return None


def require():
    """Skips a test where there are none."""
    if problem() is not None:
        pytest.skip(problem())
