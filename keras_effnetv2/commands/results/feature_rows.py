"""Rows of `embed`: the features of each image."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.classification.classifying import Row as ImageRow
from keras_effnetv2.commands.results import feature_files, result_files
from keras_effnetv2.commands.results.image_runs import Task
from keras_effnetv2.commands.results.result_files import Layout, Row


def task_of(kept: Mapping[str, Any], classifier: Classifier) -> Task:
    """The task of a classifier: the features of each image."""
    layout = _in_columns(classifier.num_features)

    def write(kind: str, rows: Iterator[Row], path: pathlib.Path) -> None:
        if kind == "npz":
            feature_files.write_rows(kept, rows, path)
        else:
            found = _IN_VECTORS if kind == "parquet" else layout
            result_files.write_file(found, kind, rows, path)

    return Task("features", _features, layout, write)


def _features(row: ImageRow) -> Row:
    vector = row.values
    return {"features": None if vector is None else result_files.encoded(vector)}


def _in_columns(num: int) -> Layout:
    """The features as one column each."""

    def flat(row: Row) -> list[Any]:
        file, error, vector = _with_vector(row)
        return [file, error, *(vector or [None] * num)]

    columns = {f"feature_{i}": "real" for i in range(num)}
    return Layout({"file": "text", "error": "text", **columns}, flat)


def _with_vector(row: Row) -> list[Any]:
    found = row["features"]
    vector = None if found is None else result_files.decoded(found).tolist()
    return [row["file"], row["error"], vector]


_IN_VECTORS = Layout(
    {"file": "text", "error": "text", "features": "vector"}, _with_vector
)
