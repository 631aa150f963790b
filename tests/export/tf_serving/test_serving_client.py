"""The client of exports: tables, load figures, and what it does about errors.

The real server is not at hand: `model_server` speaks its protos and its REST.
"""

import re
import subprocess
import sys

import pytest

from tests.export.conftest import LABELS
from tests.export.tf_serving.goods import DAMAGED

pytestmark = pytest.mark.usefixtures("client_folder")


def run_client(server, *flags):
    import client

    flags = ("--server", server, "--model", "goods", *flags)
    return client.main([str(flag) for flag in flags])


def test_the_client_prints_the_best_classes(server, photographs, capsys):
    printed = []
    for address in server[:2]:
        for signature in ("classify", "serving_bytes"):
            flags = ("--label", "stable", "--signature", signature, photographs)
            assert run_client(address, *flags) == 0
            printed.append(capsys.readouterr().out)
    assert printed[0] == printed[2] and printed[1] == printed[3]
    lines = printed[0].splitlines()
    assert len(lines) == 4 * (1 + 5)
    assert lines[0].endswith("0.jpeg")
    scores = [float(line.split()[0]) for line in lines[1:6]]
    assert scores == sorted(scores, reverse=True)
    assert lines[1].split()[1] in LABELS
    best = LABELS[int(re.search(r"class (\d+)", printed[1])[1])]
    assert lines[1].split()[1] == best


def test_a_damaged_file_is_named_and_the_others_are_answered(
    server, photographs, tmp_path, capsys
):
    (tmp_path / "damaged.jpg").write_bytes(DAMAGED)
    for address in server[:2]:
        assert run_client(address, photographs, tmp_path / "damaged.jpg") == 1
        printed = capsys.readouterr()
        assert printed.out.count("\n") == 4 * 6
        assert re.match(r"error: .*damaged\.jpg: .*(400|INVALID_ARG)", printed.err)
        assert printed.err.count("\n") == 1
        assert run_client(address, photographs / "0.jpeg") == 0  # It still answers.
        capsys.readouterr()


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_two_hundred_requests_eight_at_a_time(server, photographs, capsys, kind):
    address = server[["grpc", "http"].index(kind)]
    flags = ("--requests", 200, "--concurrency", 8, "--batch_size", 1)
    assert run_client(address, "--version", 1, *flags, photographs) == 0
    printed = capsys.readouterr().out
    assert re.search(r"requests   200 in \d+\.\d\d s, 0 failed\n", printed)
    assert re.search(r"answered   \d+\.\d requests/s", printed)
    times = re.search(r"p50 ([\d.]+), p95 ([\d.]+), p99 ([\d.]+) ms", printed).groups()
    assert list(times) == sorted(times, key=float)


@pytest.fixture
def trouble(server):
    """Answers that come before those of the REST server, in turn."""
    answers, asked = [], []

    def answer(status, body):
        asked.append(status)
        return answers.pop(0) if answers else (status, body)

    server[2].trouble = answer
    yield answers, asked
    server[2].trouble = lambda status, body: (status, body)


def test_errors_that_pass_are_tried_again(server, photographs, trouble, capsys):
    answers, asked = trouble
    answers += [(503, {"error": "full"}), (429, {"error": "slow down"})]
    assert run_client(server[1], photographs / "0.jpeg") == 0
    assert len(asked) == 3
    assert capsys.readouterr().err == ""


def test_errors_that_stay_are_not_tried_again(server, photographs, trouble, capsys):
    answers, asked = trouble
    answers += [(400, {"error": "bad image"})]
    assert run_client(server[1], photographs / "0.jpeg") == 1
    assert len(asked) == 1
    assert "HTTP 400: bad image" in capsys.readouterr().err


def test_pauses_grow_and_end(monkeypatch):
    import transports

    pauses = []
    monkeypatch.setattr(transports.random, "uniform", lambda low, high: high)

    def fail():
        raise transports.RequestError("away", retryable=True)

    with pytest.raises(transports.RequestError, match="away"):
        transports.with_retries(fail, 8, pauses.append)
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_failures_are_counted(server, photographs, trouble, capsys):
    answers, _ = trouble
    answers += [(200, {"outputs": {}}), *[(400, {"error": "bad"})] * 2]
    flags = ("--requests", 5, "--batch_size", 2)
    assert run_client(server[1], *flags, photographs) == 1
    printed = capsys.readouterr().out
    assert "requests   5 in" in printed and "2 failed" in printed
    assert "2 x HTTP 400: bad" in printed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--server", "localhost:8501"], "The server must be http://HOST:8501"),
        (["--server", "http://127.0.0.1:9", "--retries", "0"], "refused"),
        (["--server", "grpc://127.0.0.1:9", "--retries", "0"], "UNAVAILABLE"),
    ],
)
def test_a_server_that_is_not_there_is_named(photographs, capsys, flags, message):
    import client

    path = photographs / "0.jpeg"
    assert client.main([*flags, "--model", "goods", str(path)]) in (1, 2)
    assert message in capsys.readouterr().err


def test_rest_needs_python_alone(server, photographs, client_folder):
    # Without TensorFlow, which gRPC alone needs.
    code = (
        "import sys, client; code = client.main(sys.argv[1:]); "
        "sys.exit(code or 'tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "--server", server[1], "--model", "goods"]
    done = subprocess.run(
        [*command, str(photographs)], cwd=client_folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 4 * 6
