"""`pack`: packs folders of images into TFRecord shards for TensorFlow Datasets."""
