"""Nothing is on a screen but what somebody can use, and all of that is."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_effnetv2 import __main__ as command_line
from keras_effnetv2 import create_model
from keras_effnetv2.commands.shared import noise
from tests.conftest import ROOT
from tests.tiny_networks import SMALL

SILENCERS = ("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "PYTHONWARNINGS")
NOISE = """
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795985189.508068   19476 port.cc:153] oneDNN custom operations are on.
To enable the following instructions: AVX2 AVX512F, in other operations, rebuild
E0000 00:00:1795985190.768480   19476 cuda_platform.cc:52] failed call to cuInit: 303
2025-09-17 14:44:05.157831: I external/local_xla/xla/tsl/cuda/cudart_stub.cc:32] Could
2025-09-17 14:44:05.176998: E external/cuda_fft.cc:467] Unable to register cuFFT factory
W0000 00:00:1795985589.797017   22981 tf_tfl_flatbuffer_helpers.cc:364] Ignored output_format.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
fully_quantize: 0, inference_type: 6, input_inference_type: FLOAT32
Improper call to JPEG library in state 201
W0000 00:00:1796000918.618102  3290 local_rendezvous.cc:412] Local rendezvous is aborting with status: INVALID_ARGUMENT: Invalid JPEG data, size 229
E0000 00:00:1796034423.379532   11027 node_def_util.cc:682] NodeDef mentions attribute use_unbounded_threadpool which is not in the op definition
[[{{function_node cond_true_10}}{{node cond/ExtractJpegShape}}]]
""".strip().splitlines()  # noqa: E501
USED = """
W0000 00:00:1795985589.797017   22981 cpu_allocator_impl.cc:82] Allocation of 9 exceeds
2025-09-17 14:44:05.176998: E tensorflow/core/framework/op_kernel.cc] RESOURCE_EXHAUSTED
F0000 00:00:1795985589.797017   22981 tensor.cc:845] Check failed: 1 == 2
W1129 20:45:19.508068 139 run.py:120] data.num_train_images says 5, but 4 count.
epoch 1/3  stage 1/3  16 px  loss 3.063  accuracy  12.5%
Traceback (most recent call last):
I1129 20:45:19.508068 139 workers.py:120] A worker of ours informs
""".strip().splitlines()


@pytest.mark.parametrize("line", NOISE)
def test_noise_is_known(line):
    assert noise.is_noise(line.encode())


@pytest.mark.parametrize("line", USED)
def test_what_somebody_can_use_is_no_noise(line):
    assert not noise.is_noise(line.encode())


def run(*words, **options):
    environment = {x: y for x, y in os.environ.items() if x not in SILENCERS}
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        **options,
    )


@pytest.mark.long
@pytest.mark.parametrize("num_exports", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_process_shows_what_is_of_use_and_nothing_else(tmp_path, num_exports):
    create_model(SMALL, classes=2, input_shape=(32, 32, 3)).save(tmp_path / "m.keras")
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), "uint8")
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    paths = [tmp_path / "m.keras", tmp_path / "picture.png", *[tmp_path] * num_exports]
    result = run("-m", "tests.commands.shared.screen_checks", *paths)
    assert result.stdout.count("ended with 0\n") == 1 + num_exports, result.stderr
    logged, _, of_python = result.stderr.partition("Fatal Python error: Aborted")
    assert of_python
    # In any order: what C++ logs goes through another process.
    wanted = ("This is ours.", "did not fully read the dataset being", "last words")
    lines = [x for x in wanted for line in logged.splitlines() if x in line]
    assert lines == [*wanted] and len(logged.splitlines()) == 3, logged


def test_help_and_lists_need_neither_keras_nor_tensorflow():
    code = (
        "import contextlib, sys\n"
        "from keras_effnetv2 import __main__ as command_line\n"
        "asked = [['--help'], ['--version'], ['list'],\n"
        "    ['profile', '--variant', 'efficientnetv2-s', '--no-measure']]\n"
        "asked += [[x, '--help'] for x in command_line.COMMANDS]\n"
        "asked += [['export', 'litert', '--help']]\n"
        "for words in asked:\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        args = command_line.parse(['', *words])\n"
        "        assert command_line.main(args) == 0\n"
        "heavy = ('tensorflow', 'keras', 'optuna', 'h5py', 'PIL')\n"
        "print([x for x in heavy if x in sys.modules])"
    )
    result = run("-c", code)
    assert result.stderr == ""
    assert result.stdout.splitlines()[-1] == "[]"
    assert result.stdout.count("example:") == len(command_line.COMMANDS) + 2


def test_a_reader_that_has_seen_enough_ends_a_command_quietly():
    words = [sys.executable, "-m", "keras_effnetv2", "list"]
    with subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.wait() == 141
        assert process.stderr.read() == b""
