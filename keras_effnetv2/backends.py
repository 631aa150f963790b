"""Which of Keras's backends a task needs."""

import keras

from keras_effnetv2.errors import InputError


def require_backend(task: str, *backends: str) -> None:
    """Refuses backends that a task does not run on.

    Args:
        task: the beginning of the error message: "Exports need".
        *backends: names of those that it runs on, as in KERAS_BACKEND.

    Raises:
        ValueError: Keras runs on another backend.
    """
    found = keras.backend.backend()
    if found not in backends:
        raise InputError(
            f"{task} Keras's backend {' or '.join(backends)}. Received: KERAS_BACKEND="
            f"{found}. Set KERAS_BACKEND={backends[0]}; .keras files of any backend "
            "can be loaded there."
        )
