"""Shells hear what could come next, by argcomplete's own protocol, and soon."""

import argparse
import os
import resource
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytest.importorskip("argcomplete")
PROGRAM = [sys.executable, "-m", "keras_effnetv2"]
RW = [f"efficientnetv2-rw-{x}" for x in "tsm"]
# What bash divides words at, besides white space.
WORD_BREAKS = " \t\n\"'><=;|&(:"


def heard(line, folder, shell="bash"):
    """What is offered to a shell where a line ends."""
    answer = folder / "answer"
    environment = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_COMP_WORDBREAKS": WORD_BREAKS,
        "_ARGCOMPLETE_SHELL": shell,
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "PYTHONPATH": str(ROOT),
    }
    if shell != "bash":  # Others do not divide words.
        del environment["_ARGCOMPLETE_COMP_WORDBREAKS"]
    subprocess.run(PROGRAM, cwd=folder, env=os.environ | environment, check=True)
    return [x.strip() for x in answer.read_text().split("\n")]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("export litert --image", ["--images", "--image_size"]),
        ("finetune x --variant efficientnetv2-rw-", RW),
        ("predict x --model efficientnetv2-x", ["efficientnetv2-xl"]),
        ("predict x --variant efficientnet-l2 --weights n", ["noisy-student"]),
        ("predict x --weights imagenet21k", ["imagenet21k", "imagenet21k-ft1k"]),
        ("train --experiment digits", ["digits", "digits-smoke"]),
        ("search --experiment digits", ["digits-search"]),
        ("train --set schedule.w", ["schedule.warmup_epochs="]),
        # Of a word with a break in it, bash takes what comes after that.
        ("train --set schedule.name=c", ["cosine", "constant"]),
        ("train --set model.variant=efficientnetv2-rw-", RW),
        ("train --set data.cache=", ["true", "false"]),
        ("train --set epochs=", [""]),
    ],
)  # fmt: skip
def test_names_are_offered(line, offered, tmp_path):
    found = heard(f"keras_effnetv2 {line}", tmp_path)
    assert sorted(found) == sorted(offered)


@pytest.mark.parametrize(
    ("prefix", "flag", "program", "variant", "offered"),
    [
        ("efficientnetv2-x", "variant", "export onnx", None, ["efficientnetv2-xl"]),
        ("efficientnetv2-rw-", "pattern", "list", None, RW),
        ("n", "weights", "predict", "efficientnet-l2", ["noisy-student"]),
        ("imagenet21k", "weights", "predict", "mine.json",
         ["imagenet21k", "imagenet21k-ft1k"]),
        ("digits", "experiment", "train", None, ["digits", "digits-smoke"]),
        ("digits", "experiment", "search", None, ["digits-search"]),
        ("data.c", "set", "train", None, ["data.cache=", "data.chunk_mb="]),
        ("data.cache=", "set", "train", None, ["data.cache=true", "data.cache=false"]),
        ("optimizer.global_clipnorm=n", "set", "train", None,
         ["optimizer.global_clipnorm=none"]),
        ("model.variant=efficientnetv2-x", "set", "train", None,
         ["model.variant=efficientnetv2-xl"]),
        ("model.weights=n", "set", "train", None, ["model.weights=noisy-student"]),
        ("data.nothing=", "set", "train", None, []),
        ("", "workdir", "train", None, ["here/"]),
        ("h", "model", "predict", None, ["here/"]),
        ("h", "pattern", "list", None, []),
    ],
)  # fmt: skip
def test_the_completer_itself(
    prefix, flag, program, variant, offered, tmp_path, monkeypatch
):
    from keras_effnetv2.commands.shared.known_names import KnownNames

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    found = KnownNames()(
        prefix,
        action=argparse.Namespace(dest=flag),
        parser=argparse.ArgumentParser(f"keras_effnetv2 {program}"),
        parsed_args=argparse.Namespace(variant=variant),
    )
    assert sorted(found) == sorted(offered)


def test_every_setting_is_offered_and_files_where_names_are_none(tmp_path):
    from keras_effnetv2.training.experiments.named import get_experiment
    from keras_effnetv2.training.experiments.settings import list_settings

    names = {f"{x}=" for x in list_settings(get_experiment("digits"))}
    assert {*heard("keras_effnetv2 train --set ", tmp_path)} == names
    (tmp_path / "flowers.keras").write_bytes(b"")
    found = heard("keras_effnetv2 predict x --model flow", tmp_path)
    assert found == ["flowers.keras"]
    assert heard("keras_effnetv2 predict flow", tmp_path) == ["flowers.keras"]


def test_zsh_hears_whole_words(tmp_path):
    """It has a colon between a word and its description."""
    found = heard("keras_effnetv2 train --set schedule.name=c", tmp_path, "zsh")
    words = [x.partition(":")[0] for x in found]
    assert sorted(words) == ["schedule.name=constant", "schedule.name=cosine"]


def test_it_takes_less_than_a_second_and_no_tensorflow(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    heard("keras_effnetv2 train --set optimizer.", tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
    code = (
        "import sys; from keras_effnetv2 import __main__ as main;"
        "from keras_effnetv2.commands.shared import known_names;"
        "main._parser([*main.COMMANDS]);"
        "print([x for x in ('tensorflow', 'keras', 'h5py') if x in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself_completes(tmp_path):
    """The code that `completion` prints, in a shell that presses the tabulator."""
    program = tmp_path / "keras_effnetv2"
    program.write_text(f'#!/bin/sh\nexec "{PROGRAM[0]}" -m keras_effnetv2 "$@"\n')
    program.chmod(0o755)
    code = subprocess.run(
        [*PROGRAM, "completion", "bash"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    script = (
        f"{code}\n"
        "COMP_WORDS=(keras_effnetv2 train --set schedule.warm); COMP_CWORD=3\n"
        'COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9\n'
        "[[ $(complete -p keras_effnetv2) =~ -F\\ ([^ ]+) ]]\n"
        "${BASH_REMATCH[1]} keras_effnetv2\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert result.stdout.strip() == "schedule.warmup_epochs=", result.stderr
