"""Images: sources, decoding, evaluation crops, augmentation, and batches of them."""
