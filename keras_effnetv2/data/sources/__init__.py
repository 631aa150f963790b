"""Sources of images: every kind of dataset as a `Source`."""

from keras_effnetv2.data.records.record_opening import Reading
from keras_effnetv2.data.sources.opening import open_source
from keras_effnetv2.data.sources.source import Source

__all__ = ["Reading", "Source", "open_source"]
