"""`list`: every variant, counted and published, without building a network."""

import subprocess
import sys

import keras_effnetv2
from keras_effnetv2 import __main__ as command_line
from keras_effnetv2.networks import variants


def test_every_variant_has_a_line(capsys):
    assert command_line.main(command_line.parse(["", "list"])) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines[1 : 1 + len(variants.list_variants())]]
    assert names == variants.list_variants()


def test_counted_figures_stand_beside_the_published_ones(capsys):
    command_line.main(command_line.parse(["", "list"]))
    lines = {line.split(" ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["efficientnetv2-s"].split()[1:] == [
        *("300", "384"),
        *("21.61", "21.46", "22", "21.5"),
        *("8.37", "8.8", "8.4"),
        "83.9",
    ]
    assert "-" in lines["efficientnetv2-xl"].split()


def test_it_needs_neither_keras_nor_tensorflow():
    # The package itself imports Keras, for its layers to be known to saved models.
    code = f"""
import sys, types
package = types.ModuleType("keras_effnetv2")
package.__path__ = {list(keras_effnetv2.__path__)!r}
sys.modules["keras_effnetv2"] = package
from keras_effnetv2 import __main__ as command_line
command_line.main(command_line.parse(["", "list"]))
sys.exit(bool({{"keras", "tensorflow"}} & set(sys.modules)))
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
