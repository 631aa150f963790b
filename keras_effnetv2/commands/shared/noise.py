"""Drops useless lines that C++ libraries log past Python.

TensorFlow, XLA, oneDNN and CUDA write to the process's standard error. A log level
(TF_CPP_MIN_LOG_LEVEL) suppresses only part of it: absl, which most of them use, writes
everything until it is initialised, which TensorFlow does not do. So standard error goes
through another process, this file as a program, which drops useless lines and passes
all others on. It is a process, not a thread, so that the last words of an aborted
program arrive too.
"""

import atexit
import contextlib
import os
import re
import subprocess
import sys

# Lines of level info: they begin with date and level, as TSL or absl writes them, and
# the C++ file. Those of Python's absl look similar.
_INFORMATION = re.compile(
    rb"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: I "
    rb"|I\d{4} \d\d:\d\d:\d+\.\d+ +\d+ )\S+\.(?:cc|cpp|cu|h):\d+\] "
)
# Warnings and errors that report no fault and need no action.
_KNOWN = re.compile(
    rb"All log messages before absl::InitializeLog\(\) is called"
    # Two of TensorFlow's libraries share a registry; nothing is registered twice.
    rb"|computation placer already registered"
    rb"|Unable to register cu(DNN|FFT|BLAS) factory"
    # No GPU, or none that CUDA can use. Those who ask for one get our own message.
    rb"|failed call to cuInit"
    rb"|Could not find cuda drivers"
    rb"|Cannot dlopen some GPU libraries"
    rb"|TF-TRT Warning"
    # 8 bits on older processors: slower, but correct.
    rb"|oneDNN supports DT_U?INT8 only on platforms"
    # TensorFlow Lite's converter, about what TensorFlow itself sets.
    rb"|Ignored (output_format|drop_control_dependency)\."
    rb"|Skipping runtime version metadata"
    rb"|^INFO: Created TensorFlow Lite XNNPACK delegate"
    rb"|^fully_quantize: \d, inference_type: "
    # Keras's own map over a dataset, after a training has asked for determinism.
    rb"|NodeDef mentions attribute use_unbounded_threadpool"
    # Damaged images, which we decode in another way, and report if that fails too.
    rb"|Premature end of JPEG data"
    rb"|Improper call to JPEG library"
    rb"|INVALID_ARGUMENT: jpeg::Uncompress failed"
    rb"|INVALID_ARGUMENT: Invalid JPEG data"
    rb"|^\s*\[\[\{\{(function_)?node "
    # The second line of the list of processor features.
    rb"|^To enable the following instructions:"
)
_SECONDS_TO_END = 1.0


def is_noise(line: bytes) -> bool:
    """Whether a line of standard error is useless."""
    return bool(_INFORMATION.match(line) or _KNOWN.search(line))


def drop_noise() -> None:
    """Drops useless lines that TensorFlow, XLA, oneDNN and CUDA log.

    The commands do this by themselves; a script calls it once, as early as it can. It
    filters the process's standard error until the process ends. Warnings and errors
    that matter still appear, and Python's own `sys.stderr` is not filtered.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    reader, writer = os.pipe()
    command = [sys.executable, "-I", "-S", __file__]
    # In its own session: after a Ctrl-C there may be more to pass on.
    filter_process = subprocess.Popen(
        command, stdin=reader, stdout=kept, start_new_session=True
    )
    os.close(reader)
    os.dup2(writer, 2)
    os.close(writer)
    # Open until the process ends, like Python's own.
    sys.stderr = open(  # noqa: SIM115
        kept, "w", 1, sys.stderr.encoding, "backslashreplace", closefd=False
    )
    atexit.register(_end, filter_process, kept)


def _end(filter_process: subprocess.Popen, kept: int) -> None:
    """Waits for the rest to be passed on, unless another process writes too."""
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
