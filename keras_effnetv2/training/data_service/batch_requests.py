"""What a training asks an input process for, as JSON.

| request | answer |
| --- | --- |
| `GET /` | `versions`, which are to be the training's, and the `host` of the worker |
| `POST /batches`, a `BatchRequest` | their `name` at the `tf.data` service |
| `GET /batches/NAME` | what has stopped them, `error`, and `damaged` images |

A refusal is of status 400 and has an `error`, a line. An input process has three ports:
that of these requests, and the next two of its dispatcher and of its worker.
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
DISPATCHER, WORKER = 1, 2  # Of their ports, after the first.
# With others, the same step may have other bits.
VERSIONS = {"keras_effnetv2": __version__, "tensorflow": tf.__version__}


@dataclasses.dataclass(frozen=True)
class BatchRequest:
    """Batches that an input process is to make.

    Attributes:
        experiment: of the training, whose data has the names that every process knows.
        num_images: to train on.
        segment: of the training.
        shard: of each global batch, which rows.
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
        """What `to_json` wrote.

        Raises:
            ValueError: somebody else wrote it.
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
            raise InputError(f"This is no request for batches: {error!r}.") from error
