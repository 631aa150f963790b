"""Commands in the tests' own process."""

from keras_effnetv2 import __main__ as command_line


def run_command(*words):
    """The exit code of `python -m keras_effnetv2 WORDS`."""
    return command_line.main(command_line.parse(["", *map(str, words)]))
