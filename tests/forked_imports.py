"""What processes of tests.forked need not import again; nothing that starts threads."""

import keras_effnetv2.commands.train  # noqa: F401
import keras_effnetv2.training.runs.run  # noqa: F401
