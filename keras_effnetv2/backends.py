"""What runs on which of Keras's backends."""

import keras

from keras_effnetv2.errors import InputError


def require_backend(task: str, *backends: str) -> None:
    """Does nothing on one of `backends`, the names of KERAS_BACKEND.

    Args:
        task: what needs one of them, as the beginning of a sentence: "Exports need".
        *backends: on which it is possible.

    Raises:
        ValueError: Keras runs on another one.
    """
    found = keras.backend.backend()
    if found not in backends:
        raise InputError(
            f"{task} Keras's backend {' or '.join(backends)}. Received: KERAS_BACKEND="
            f"{found}. Set KERAS_BACKEND={backends[0]}; .keras files of any backend "
            "can be loaded there."
        )
