"""Training batches from other processes, through TensorFlow's `tf.data` service."""
