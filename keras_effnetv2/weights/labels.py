"""Class names of ImageNet-1k and ImageNet-21k, and decoding of scores.

The names are the data files of timm 1.0.31 (facts of WordNet), written by
`tools/references/make_class_names.py`. ImageNet-21k has 21,843 classes in the order of
Google's classifiers; google/automl's own list is one short and shifted.
"""

import functools
import operator
import pathlib
from typing import Any

import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.preprocessing import NUM_LABELS

_FOLDER = pathlib.Path(__file__).parent / "class_names"


@functools.cache
def class_names(labels: str) -> tuple[tuple[str, str], ...]:
    """`(WordNet id, name)` of every class, in the order of the classifier's outputs.

    Names are the first lemma with underscores, e.g. `"giant_panda"`, as in
    keras.applications. They are not unique, but the IDs are.

    Args:
        labels: `"imagenet"` (1,000 classes) or `"imagenet21k"` (21,843).

    Raises:
        ValueError: unknown list.
    """
    if labels not in NUM_LABELS:
        raise InputError(
            f"labels must be one of {tuple(NUM_LABELS)}. Received: {labels!r}."
        )
    text = (_FOLDER / f"{labels}.txt").read_text(encoding="utf-8")
    rows = (line.split(" ", 1) for line in text.splitlines())
    return tuple((wordnet_id, name) for wordnet_id, name in rows)


def wordnet_ids(labels: str) -> tuple[str, ...]:
    """The WordNet id of every class.

    Args:
        labels: as for `class_names`.

    Raises:
        ValueError: unknown list.
    """
    return tuple(wordnet_id for wordnet_id, _ in class_names(labels))


def decode_predictions(scores: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """The best classes of every image, as keras.applications returns them.

    Args:
        scores: `(batch, 1000)` or `(batch, 21843)` probabilities or logits; an array
            or a tensor. The class list is chosen by the number of columns.
        top: number of classes per image.

    Returns:
        For every image a list of `(WordNet id, name, score)`, best first.

    Raises:
        ValueError: another shape, or `top` is not between 1 and the number of classes.
    """
    if not isinstance(scores, np.ndarray):
        import keras

        scores = keras.ops.convert_to_numpy(scores)
    names = next(
        (
            class_names(labels)
            for labels, num_classes in NUM_LABELS.items()
            if scores.ndim == 2 and scores.shape[1] == num_classes
        ),
        None,
    )
    if names is None:
        raise InputError(
            "decode_predictions knows the classes of ImageNet-1k and ImageNet-21k: it "
            "expects scores of shape (batch, 1000) or (batch, 21843). "
            f"Received: shape {scores.shape}. One image needs a batch axis "
            "(scores[None]); other classifiers have their own class names."
        )
    if not 1 <= operator.index(top) <= len(names):
        raise InputError(
            f"top must be between 1 and {len(names)}. Received: top={top!r}."
        )
    # Negated, so that equal scores keep the order of classes and NaN comes last.
    order = np.argsort(-scores.astype("float64"), axis=1, kind="stable")[:, :top]
    return [
        [(*names[i], row[i]) for i in best]
        for best, row in zip(order, scores, strict=True)
    ]
