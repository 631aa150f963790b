"""EfficientNetV2 for Keras 3."""
