"""Runs an example as a script, where the variant "tiny" is a network of the tests.

python -m tests.example_runner examples/finetune_flowers.py --variant tiny ...
"""

import runpy
import sys

from keras_effnetv2.networks import variants
from tests.tiny_networks import tiny

if __name__ == "__main__":
    variants.VARIANTS["tiny"] = tiny("tiny-b0")
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
