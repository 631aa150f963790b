"""Requests of a training process to an input process, as JSON.

| request | answer |
| --- | --- |
| `GET /` | `versions`, which must be the training's, and the `host` of the worker |
| `POST /batches`, a `BatchRequest` | their `name` at the `tf.data` service |
| `GET /batches/NAME` | the `error` that stopped them, and `damaged` images |

A refusal has status 400 and a one-line `error`. An input process has three ports: one
for these requests, and the next two for its dispatcher and its worker.
"""

import dataclasses
import json

import tensorflow as tf

from keras_effnetv2.data.order import Shard
from keras_effnetv2.errors import InputError
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.experiments.settings import from_json, to_json
from keras_effnetv2.training.progressive.learning import Segment
from keras_effnetv2.training.progressive.stages import Stage
from keras_effnetv2.version import __version__

PATH = "/batches"
DISPATCHER, WORKER = 1, 2  # Offsets of their ports from the first.
# With other versions, the same step may have other bits.
VERSIONS = {"keras_effnetv2": __version__, "tensorflow": tf.__version__}


@dataclasses.dataclass(frozen=True)
class BatchRequest:
    """A request for batches.

    Attributes:
        experiment: the experiment, with data under names that every process knows.
        num_images: number of training images.
        segment: segment of the training.
        shard: the rows of each global batch to make.
    """

    experiment: Experiment
    num_images: int
    segment: Segment
    shard: Shard

    def to_json(self) -> str:
        """For `from_json`."""
        values = {
            "experiment": to_json(self.experiment),
            "num_images": self.num_images,
            "segment": dataclasses.asdict(self.segment),
            "shard": dataclasses.asdict(self.shard),
        }
        return json.dumps(values)

    @staticmethod
    def from_json(text: str | bytes) -> "BatchRequest":
        """The inverse of `to_json`.

        Raises:
            ValueError: the text is not from `to_json`.
        """
        try:
            values = json.loads(text)
            segment = values["segment"]
            segment["stage"] = Stage(**segment["stage"])
            return BatchRequest(
                from_json(values["experiment"]),
                int(values["num_images"]),
                Segment(**segment),
                Shard(**values["shard"]),
            )
        except InputError:
            raise
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"This is not a request for batches: {error!r}."
            ) from error
