"""`pack`: folders of images as TFRecord shards, as TensorFlow Datasets has them."""
