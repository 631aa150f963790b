"""Work folders of runs that were not trained, and what their networks give."""

import keras
import numpy as np
import tensorflow as tf

from keras_effnetv2.data.source import Source
from keras_effnetv2.reports.evaluated_images import Evaluation, RunNetwork
from keras_effnetv2.training.learner.network import build_network
from keras_effnetv2.training.reporting.records import Records
from keras_effnetv2.training.runs.workdir import open_workdir
from tests.data import image_folders
from tests.tiny_experiments import tiny_experiment
from tests.tiny_networks import spread_weights
from tests.training.reporting.run_records import make_record

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "a\"b' onmouseover=alert(3) & {{ 7 * 7 }}",
    "$x^2$ \u202egnp",
)
HOSTILE_FILE = "<b onclick=alert(4)>&quot;.png"


def write(folder, class_names=HOSTILE, per_class=9):
    """A network with random weights, for a folder of images; its work folder."""
    counts = {f"class{i}": per_class for i in range(len(class_names))}
    for number, split in enumerate(("train", "validation")):
        image_folders.write(folder / "images" / split, counts, 1000 * number)
    (first,) = (folder / "images" / "validation" / "class0").glob("1000.*")
    first.rename(first.with_name(HOSTILE_FILE))
    settings = {"source": "folder", "directory": folder / "images"}
    return write_network(
        folder / "run",
        class_names,
        *(f"data.{name}={value}" for name, value in settings.items()),
    )


def write_network(folder, class_names, *settings):
    """The work folder of a network with random weights, without images."""
    keras.utils.set_random_seed(0)
    own = ("data.eval_split=validation", f"data.num_classes={len(class_names)}")
    experiment = tiny_experiment(*settings, *own)
    workdir = open_workdir(folder, experiment)
    network = build_network(experiment, None, tuple(class_names))
    random = np.random.default_rng(0)
    spread_weights(network, random.uniform(0, 255, (4, 32, 32, 3)).astype("float32"))
    network.save_weights(workdir.weights)
    for epoch in range(1, 7):
        Records(workdir.metrics).append(make_record(epoch))
    return workdir.path


def evaluation(workdir, logits, labels):
    """As if a run's network had given these logits, for images of noise."""
    random = np.random.default_rng(0)
    pixels = tf.constant(random.integers(0, 256, (len(logits), 8, 8, 3), "uint8"))
    is_multi = labels.ndim == 2
    targets = tf.constant(labels, "float32" if is_multi else "int64")
    source = Source(
        num_examples=len(logits),
        num_classes=logits.shape[1],
        multi_label=is_multi,
        read=lambda index: (pixels[index], targets[index]),
        name_of=lambda index: f"image {index}",
    )
    run, rows = RunNetwork.open(workdir), np.arange(len(logits))
    return Evaluation(
        run, "validation", source, rows, logits.astype("float32"), labels, None, 0
    )
