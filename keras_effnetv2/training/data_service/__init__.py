"""Batches of a training from other processes, by TensorFlow's `tf.data` service."""
