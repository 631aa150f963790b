"""What C++ libraries log past Python, and nobody who runs a command can use.

TensorFlow, XLA, oneDNN and CUDA write to the process's standard error. A level
(TF_CPP_MIN_LOG_LEVEL) stops a part of it only: absl, which most of them log by, writes
everything until it is initialised, which TensorFlow does not do. So standard error goes
through another process, this file as a program, which drops lines that say nothing to
anybody and hands all others on. A process, not a thread: the last words of a program
that is aborted arrive too.
"""

import atexit
import contextlib
import os
import re
import subprocess
import sys

# Of what only informs: a line begins with date and level, as TSL or absl writes them,
# and the file in C++. That of Python's absl looks alike.
_INFORMATION = re.compile(
    rb"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: I "
    rb"|I\d{4} \d\d:\d\d:\d+\.\d+ +\d+ )\S+\.(?:cc|cpp|cu|h):\d+\] "
)
# Warnings and errors that tell of no fault and leave nothing to do.
_KNOWN = re.compile(
    rb"All log messages before absl::InitializeLog\(\) is called"
    # Two libraries of TensorFlow's with one registry; nothing is registered twice.
    rb"|computation placer already registered"
    rb"|Unable to register cu(DNN|FFT|BLAS) factory"
    # No GPU, or none that CUDA may use. Who asks for one is told so by us.
    rb"|failed call to cuInit"
    rb"|Could not find cuda drivers"
    rb"|Cannot dlopen some GPU libraries"
    rb"|TF-TRT Warning"
    # Of 8 bits on older processors: slower, and as right.
    rb"|oneDNN supports DT_U?INT8 only on platforms"
    # The converter of TensorFlow Lite, of what TensorFlow itself sets.
    rb"|Ignored (output_format|drop_control_dependency)\."
    rb"|Skipping runtime version metadata"
    rb"|^INFO: Created TensorFlow Lite XNNPACK delegate"
    rb"|^fully_quantize: \d, inference_type: "
    # Of damaged images, which we try otherwise, and name if that fails too.
    rb"|Premature end of JPEG data"
    rb"|Improper call to JPEG library"
    rb"|INVALID_ARGUMENT: jpeg::Uncompress failed"
    rb"|INVALID_ARGUMENT: Invalid JPEG data"
    rb"|^\s*\[\[\{\{(function_)?node "
    # The second line of the list of what the processor has.
    rb"|^To enable the following instructions:"
)
_SECONDS_TO_END = 1.0


def is_noise(line: bytes) -> bool:
    """Whether a line of standard error is for nobody."""
    return bool(_INFORMATION.match(line) or _KNOWN.search(line))


def drop_noise() -> None:
    """Has standard error filtered from now on, until the process ends.

    Python's own `sys.stderr` goes where it went before: to the terminal, if it is one.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    reader, writer = os.pipe()
    command = [sys.executable, "-I", "-S", __file__]
    # Out of the terminal's reach: after a Ctrl-C there may be more to hand on.
    filter_process = subprocess.Popen(
        command, stdin=reader, stdout=kept, start_new_session=True
    )
    os.close(reader)
    os.dup2(writer, 2)
    os.close(writer)
    # Open until the process is over, as Python's own.
    sys.stderr = open(  # noqa: SIM115
        kept, "w", 1, sys.stderr.encoding, "backslashreplace", closefd=False
    )
    atexit.register(_end, filter_process, kept)


def _end(filter_process: subprocess.Popen, kept: int) -> None:
    """Waits for what is still to be handed on, unless another process writes too."""
    os.dup2(kept, 2)
    with contextlib.suppress(subprocess.TimeoutExpired):
        filter_process.wait(_SECONDS_TO_END)


def _hand_on() -> None:
    """Copies lines from standard input to standard output, without the noise."""
    output = sys.stdout.buffer
    for line in sys.stdin.buffer:
        if not is_noise(line):
            output.write(line)
            output.flush()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        _hand_on()
