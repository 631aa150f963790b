"""Sources of images: every kind of dataset as a `Source`."""

from keras_effnetv2.data.records.record_opening import Reading
from keras_effnetv2.data.source import Source
from keras_effnetv2.data.sources.opening import open_source

__all__ = ["Reading", "Source", "open_source"]
