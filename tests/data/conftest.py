"""What tests of data do not look at takes a third of their time."""

import pytest
import tensorflow as tf


@pytest.fixture(autouse=True, scope="module")
def without_graph_optimization():
    """Graphs run as they are traced: their results are what is tested, not their speed.

    Trainings and evaluations elsewhere run the same pipelines optimized.
    """
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
