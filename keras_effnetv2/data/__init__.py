"""Images: decoding, evaluation crops; later sources, augmentation and pipelines."""
