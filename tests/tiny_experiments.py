"""An experiment of seconds that several tests share."""

from keras_effnetv2.training.experiments.named import get_experiment
from keras_effnetv2.training.experiments.settings import override
from tests.tiny_networks import NANO_SETTINGS


def tiny_experiment(*settings):
    """`digits-smoke` with the smallest network, and with other settings, if any."""
    return override(get_experiment("digits-smoke"), [*NANO_SETTINGS, *settings])
