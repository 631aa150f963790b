"""Run by test_agreement.py, in two processes that train together."""

from keras_effnetv2.training.devices.agreement import from_chief, together
from keras_effnetv2.training.devices.strategies import open_devices

devices = open_devices("multiworker")
for number in (0, 1, 2**16 - 1, 2**16, 2**32 - 1, 123_456_789):
    assert from_chief(devices, number if devices.is_chief else 7) == number
with together(devices):
    pass
try:
    with together(devices):
        if not devices.is_chief:
            raise KeyError("mine")
except Exception as error:
    print(type(error).__name__, error)
