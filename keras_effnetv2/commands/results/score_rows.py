"""Rows of `predict`: the best classes of each image."""

import functools
from typing import Any

from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.classification.classifying import Row as ImageRow
from keras_effnetv2.classification.predictions import Prediction
from keras_effnetv2.commands.results import result_files
from keras_effnetv2.commands.results.image_runs import Task
from keras_effnetv2.commands.results.result_files import Layout, Row

# Columns of each class.
_KINDS = {"index": "whole", "name": "text", "score": "real"}
_DIGITS = 6  # Decimals of a score, in files.


def task_of(top: int, classifier: Classifier) -> Task:
    """The task of a classifier: the best classes of each image."""
    top = min(top, len(classifier.class_names))
    names = [f"{kind}_{place}" for place in range(1, top + 1) for kind in _KINDS]
    columns = {name: _KINDS[name.partition("_")[0]] for name in names}

    def flat(row: Row) -> list[Any]:
        values = [found[kind] for found in row["classes"] for kind in _KINDS]
        return [row["file"], row["error"], *(values or [None] * len(columns))]

    layout = Layout({"file": "text", "error": "text", **columns}, flat, _lines)
    make_row = functools.partial(_classes, classifier, top)
    write = functools.partial(result_files.write_file, layout)
    return Task("scores", make_row, layout, write)


def _classes(classifier: Classifier, top: int, row: ImageRow) -> Row:
    names = classifier.class_names
    best = Prediction(row.source, row.values, names, row.error).top(top)
    classes = []
    for x in best:
        wordnet_id = names[x.index].wordnet_id
        known = {"wordnet_id": wordnet_id} if wordnet_id else {}
        score = round(x.score, _DIGITS)
        classes.append({"index": x.index, **known, "name": x.name, "score": score})
    return {"classes": classes}


def _lines(row: Row) -> list[str]:
    """The file name and, below it, a line for each class, best first."""
    if row["error"] is not None:
        return [row["file"], f"     error  {row['error']}"]
    lines = [
        "  ".join(filter(None, (f"{x['score']:10.4f}", x.get("wordnet_id"), x["name"])))
        for x in row["classes"]
    ]
    return [row["file"], *lines]
