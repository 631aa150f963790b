"""The work folder of a run that is finished, without its training."""

from keras_effnetv2.training import get_experiment
from keras_effnetv2.training.learner.network import build_network
from keras_effnetv2.training.runs.workdir import open_workdir


def write(folder):
    """A tiny network for digits with random weights."""
    experiment = get_experiment("digits-smoke")
    workdir = open_workdir(folder, experiment)
    network = build_network(experiment, None, tuple("0123456789"))
    network.save_weights(workdir.weights)
    return folder
