r"""Trains EfficientNetV2 on ImageNet with a published recipe, on a TPU or a pod.

On a Cloud TPU VM of one host, with tensorflow-tpu, which ends at TensorFlow 2.20:

    python examples/train_imagenet_tpu.py --data DIRECTORY --workdir runs/s --tpu local

On a pod, with jax[tpu], run the same command on every host; all hosts must see the same
work folder, such as one in a bucket (tools/launch_tpu_pod.sh creates a pod and starts
the command line on it):

    KERAS_BACKEND=jax python examples/train_imagenet_tpu.py --data DIRECTORY \
        --workdir gs://BUCKET/runs/s --strategy multiworker

DIRECTORY has the TFRecord files `train-*` and `validation-*` of ImageNet as Google's
imagenet_to_gcs.py writes them, or, with --tfds, `imagenet2012` as TensorFlow Datasets
prepares it. Both it and the work folder may be gs://BUCKET/FOLDER.

Hardware and results, as published for 32 TPU v3 cores (Tan and Le 2021, Table 7):
imagenet-s-paper 83.9% in 7.1 hours, imagenet-m-paper 85.1% in 13, imagenet-l-paper
85.7% in 24. It has never been run on a TPU: the tests run it on a CPU, on a few images,
and compile the step with XLA. Fewer cores may need --set batch_size=1024.
"""

import argparse

from keras_effnetv2 import training

# All of the training images; the recipes hold out a fiftieth of the files.
TFDS_SETTINGS = [
    "data.source=tfds",
    "data.name=imagenet2012",
    "data.num_train_images=1281167",
]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="DIRECTORY")
    parser.add_argument("--tfds", action="store_true", help="DIRECTORY is of TFDS")
    parser.add_argument("--workdir", required=True, metavar="DIR")
    parser.add_argument("--experiment", default="imagenet-s", help="the recipe")
    parser.add_argument("--variant", help="a different network than the recipe's")
    parser.add_argument("--strategy", default="tpu", help="multiworker on pods")
    parser.add_argument("--tpu", metavar="NAME", help="local, or a TPU's name")
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    settings = [f"data.directory={arguments.data}"]
    if arguments.tfds:
        settings += TFDS_SETTINGS
    if arguments.variant:
        settings += [f"model.variant={arguments.variant}"]
    experiment = training.get_experiment(arguments.experiment)
    experiment = training.override(experiment, settings + arguments.set)

    # Started again after a crash, it resumes from the last checkpoint.
    records = training.train(
        experiment,
        arguments.workdir,
        strategy=arguments.strategy,
        tpu=arguments.tpu,
    )
    print(f"\nAccuracy on the validation images: {records[-1]['eval_accuracy']:.1%}")


if __name__ == "__main__":
    main()
