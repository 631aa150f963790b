"""Commands in a process of its own that has its standard error to itself.

    python -m tests.commands.shared.screen_checks MODEL.keras PICTURE [FOLDER]

With a folder, an export to it is one of them. After them come what only informs, which
nobody has asked for, a warning of TensorFlow's that matters, one of ours, and the last
words of a program that is aborted.
"""

import logging as python_logging
import os
import sys

from absl import logging

from keras_effnetv2 import __main__ as command_line
from tests.commands.running import run_command


def main(model: str, picture: str, *folders: str) -> None:
    sys.argv = ["", "predict", picture, "--weights", model, "--top", "1"]
    try:
        command_line.run()
    except SystemExit as stop:
        print("ended with", stop.code)
    for folder in folders:
        words = ["export", "litert", "--weights", model, "--output", f"{folder}/lite"]
        words += ["--formats", "float32", "--image-size", "32"]
        print("ended with", run_command(*words))
    import tensorflow as tf

    list(tf.data.Dataset.range(9).cache().take(2))
    logging.info("This informs.")
    python_logging.getLogger("keras_effnetv2.weights").info("This does, too.")
    logging.warning("This is ours.")
    sys.stdout.flush()
    os.write(2, b"F0000 00:00:1.0      7 x.cc:1] Check failed: last words\n")
    os.abort()


if __name__ == "__main__":
    main(*sys.argv[1:])
