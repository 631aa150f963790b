"""For a process of its own, whose environment says where the Hub is."""

import sys

from keras_effnetv2 import create_model
from keras_effnetv2.networks import variants
from tests.servers import mirror

variants.VARIANTS[mirror.VARIANT.name] = mirror.VARIANT
print(create_model(sys.argv[1]).preprocessing.labels)
