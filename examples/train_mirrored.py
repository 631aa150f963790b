r"""Trains on all GPUs of this machine, which share every batch.

    python examples/train_mirrored.py
    python examples/train_mirrored.py --cpu_devices 2    # where there is no GPU
    python examples/train_mirrored.py --experiment imagenet-s \
        --set data.directory=TFRECORDS --set batch_size=1024

The first two train EfficientNetV2-B0 on scikit-learn's digits, which need no download,
like `make demo`, and should reach its accuracy. Devices that are parts of one CPU take
longer than the whole CPU; they are for trying things out. The batch is the global batch
of all devices, so losses and results are those of one device.

Tested on 2 CPU devices, not on GPUs. The command line does the same:
python -m keras_effnetv2 train --strategy mirrored ...
"""

import argparse

import tensorflow as tf

from keras_effnetv2 import training


def make_cpu_devices(count: int) -> None:
    """Makes TensorFlow see so many CPUs, and no GPU; must run before it computes."""
    tf.config.set_visible_devices([], "GPU")
    (cpu,) = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(cpu, parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiment", default="digits")
    parser.add_argument("--workdir", default="runs/mirrored")
    parser.add_argument("--cpu_devices", type=int, metavar="N", help="instead of GPUs")
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE")
    arguments = parser.parse_args()
    if arguments.cpu_devices:
        make_cpu_devices(arguments.cpu_devices)

    experiment = training.get_experiment(arguments.experiment)
    experiment = training.override(experiment, arguments.set)
    records = training.train(experiment, arguments.workdir, strategy="mirrored")
    print(f"\nAccuracy: {records[-1]['eval_accuracy']:.1%}")


if __name__ == "__main__":
    main()
