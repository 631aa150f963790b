"""Run by tests in containers: python -m tests.file_writer PATH COUNT."""

import os
import pathlib
import socket
import sys

import numpy as np

from keras_effnetv2.training.runs.array_files import write_arrays


def main(path, count):
    """Writes the same checkpoint over and over."""
    assert (os.getpid(), socket.gethostname()) == (1, "same")
    for number in range(int(count)):
        write_arrays(pathlib.Path(path), {"x": np.full(2**16, number)}, {})


if __name__ == "__main__":
    main(*sys.argv[1:])
