"""The work folder of a run that is finished, without its training."""

from keras_effnetv2.training.learner.network import build_network
from keras_effnetv2.training.runs.workdir import open_workdir
from tests.tiny_experiments import tiny_experiment


def write(folder):
    """A tiny network for digits with random weights."""
    experiment = tiny_experiment()
    workdir = open_workdir(folder, experiment)
    network = build_network(experiment, None, tuple("0123456789"))
    network.save_weights(workdir.weights)
    return folder
