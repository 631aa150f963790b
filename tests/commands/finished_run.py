"""The work folder of a run that is finished, without its training."""

from keras_effnetv2.training import get_experiment, override
from keras_effnetv2.training.learner.network import build_network
from keras_effnetv2.training.runs.workdir import open_workdir

# A block a stage.
SETTINGS = ("model.width_coefficient=0.1", "model.depth_coefficient=0.1")


def write(folder):
    """A tiny network for digits with random weights."""
    experiment = override(get_experiment("digits-smoke"), SETTINGS)
    workdir = open_workdir(folder, experiment)
    network = build_network(experiment, None, tuple("0123456789"))
    network.save_weights(workdir.weights)
    return folder
