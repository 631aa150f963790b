"""Input processes of this machine, as the command starts them."""

import contextlib
import socket
import time

from tests import forked


def free_port():
    """The first of three that nobody uses."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            port = 0
            for _ in range(3):
                each = stack.enter_context(socket.socket())
                each.bind(("127.0.0.1", port))
                port = each.getsockname()[1] + 1
            return port - 3


def start(folder, port):
    """The process; its output goes to a file in the folder."""
    words = ["-m", "keras_effnetv2", "data_service", "--port", port]
    return forked.Process(words, folder / f"{port}.log")


@contextlib.contextmanager
def running(folder, num):
    """Processes that make batches, by address, and are gone after the block."""
    processes = {}
    try:
        for _ in range(num):
            port = free_port()
            processes[f"localhost:{port}"] = process = start(folder, port)
            while "Batches for:" not in (text := _text(process)):
                assert process.poll() is None, text
                time.sleep(0.02)
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def _text(process):
    return process.log.read_text(errors="replace") if process.log.exists() else ""
