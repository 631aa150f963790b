"""The contents of a report, for the template: every figure, table and image."""

import dataclasses
import datetime
import statistics
from typing import Any

import numpy as np

from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.profiling.measurement import latency
from keras_effnetv2.progress import format_duration
from keras_effnetv2.reports import calibration, diagrams, measures, views
from keras_effnetv2.reports.confusion import confusion_matrix
from keras_effnetv2.reports.data_survey import DataSurvey
from keras_effnetv2.reports.evaluated_images import Evaluation
from keras_effnetv2.reports.gallery import Gallery, open_explainer
from keras_effnetv2.reports.label_errors import find_label_errors
from keras_effnetv2.training.experiments.settings import list_settings, to_text
from keras_effnetv2.training.reporting.rate_sweep import read_sweep
from keras_effnetv2.training.reporting.records import Records
from keras_effnetv2.version import __version__

_MAX_MISTAKES = 12
_MAX_SUSPECTS = 24
_MAX_ROWS = 1000  # Classes in the table.


@dataclasses.dataclass(frozen=True)
class Fitted:
    """The temperature of a network.

    Attributes:
        temperature: divisor of its logits in `load_run`; 1 if none was fitted.
        is_here: whether it was fitted on these images.
        is_held_out: whether the images are held out from training, as far as names
            tell.
    """

    temperature: float
    is_here: bool
    is_held_out: bool


def gather(
    evaluation: Evaluation,
    fitted: Fitted,
    survey: DataSurvey | None,
    trained: Evaluation | None,
) -> dict[str, Any]:
    """The variables of the template.

    Args:
        evaluation: evaluation of the network.
        fitted: its temperature.
        survey: survey of the data.
        trained: evaluation of the training images, whose labels are checked too.
    """
    gallery = Gallery(fitted.temperature)
    # The images that readers look at first come first, while there is room.
    mistakes = _mistakes(evaluation, gallery)
    suspects = [
        _suspects(x, gallery)
        for x in (evaluation, trained)
        if x is not None and not x.is_multi_label
    ]
    matrix = (
        None if evaluation.is_multi_label else confusion_matrix(evaluation, gallery)
    )
    return {
        "title": evaluation.run.experiment.name,
        "folder": evaluation.run.workdir.path.name,
        "version": __version__,
        "date": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
        "summary": _summary(evaluation, fitted),
        "course": _course(evaluation),
        "classes": _class_table(evaluation),
        "matrix": matrix,
        "mistakes": mistakes,
        "suspects": suspects,
        "calibration": _calibration(evaluation, fitted),
        "coverage": _coverage(evaluation, gallery),
        "views": measures.measure_views(evaluation),
        "views_text": views.describe(evaluation.run.record.image_size),
        "data": _data(evaluation, survey),
        "settings": _settings(evaluation),
        "payload": {
            "images": gallery.images,
            "thumbnails": gallery.thumbnails.uris,
            "cells": matrix["cells"] if matrix else {},
        },
    }


def _summary(evaluation: Evaluation, fitted: Fitted) -> dict[str, Any]:
    run, record = evaluation.run, evaluation.run.record
    hits = int(evaluation.is_hit.sum())
    size = (record.image_size, record.image_size)
    return {
        **measures.summarize(evaluation, fitted.temperature),
        "hits": hits,
        "num_images": len(evaluation),
        "interval": measures.wilson_interval(hits, len(evaluation)),
        "variant": get_variant(run.experiment.model.variant).name,
        "image_size": record.image_size,
        "num_params": run.network.count_params(),
        "num_classes": run.num_classes,
        "seconds": latency(run.network, size, 1).median,
        "weights": run.weights.name,
        "split": evaluation.split,
        "is_held_out": fitted.is_held_out,
        "is_multi_label": evaluation.is_multi_label,
    }


def _course(evaluation: Evaluation) -> dict[str, Any] | None:
    """The training curves, if there are records."""
    records = Records(evaluation.run.workdir.metrics).read()
    if not records:
        return None
    sweep = read_sweep(evaluation.run.workdir.rates)
    return {
        "curves": diagrams.draw_curves(records),
        "rates": diagrams.draw_rates(sweep) if sweep and sweep.rates else None,
        "duration": format_duration(sum(x["seconds"] for x in records)),
        "num_epochs": records[-1]["epoch"],
    }


def _class_table(evaluation: Evaluation) -> dict[str, Any]:
    rows = measures.measure_classes(evaluation)
    seen = [row for row in rows if row.support]
    averages = [x.average_precision for x in seen if x.average_precision is not None]
    # The weakest classes matter most.
    weakest = sorted(seen, key=lambda row: row.f1 or 0.0)[:_MAX_ROWS]
    is_cut = len(rows) > _MAX_ROWS
    return {
        "rows": weakest if is_cut else rows,
        "num_left_out": len(rows) - len(weakest) if is_cut else 0,
        "macro_f1": statistics.fmean(row.f1 or 0.0 for row in seen) if seen else None,
        "mean_average_precision": statistics.fmean(averages) if averages else None,
    }


def _mistakes(evaluation: Evaluation, gallery: Gallery) -> dict[str, Any]:
    """The images with the lowest scores of their own class."""
    own = measures.own_scores(evaluation, gallery.temperature)
    is_wrong = own < 0.5 if evaluation.is_multi_label else ~evaluation.is_hit
    rows = np.flatnonzero(is_wrong)
    worst = rows[np.argsort(own[rows], kind="stable")][:_MAX_MISTAKES]
    explainer = open_explainer(evaluation.run) if len(worst) else None
    keys = gallery.add(evaluation, worst)
    if explainer is not None:
        for row in worst:
            gallery.explain(evaluation, int(row), explainer)
    return {
        "images": keys,
        "num_all": len(rows),
        "is_explained": any(gallery.images[key]["heat"] for key in keys),
    }


def _suspects(evaluation: Evaluation, gallery: Gallery) -> dict[str, Any]:
    trained_on = evaluation.split == evaluation.run.experiment.data.train_split
    scores, labels = gallery.scores(evaluation), evaluation.labels
    found = find_label_errors(scores, labels, trained_on=trained_on)
    names, rows = evaluation.run.class_names, []
    for suspect in found[:_MAX_SUSPECTS]:
        keys = gallery.add(evaluation, [suspect.row])
        rows.append(
            {
                "key": keys[0] if keys else None,
                "name": evaluation.name(suspect.row),
                "label": names[suspect.label],
                "suggested": names[suspect.suggested],
                "own_score": suspect.own_score,
                "score": suspect.score,
            }
        )
    return {
        "split": evaluation.split,
        "rows": rows,
        "num_all": len(found),
        "num_images": len(evaluation),
    }


def _calibration(evaluation: Evaluation, fitted: Fitted) -> dict[str, Any]:
    before = _reliability(evaluation, evaluation.probabilities())
    after = None
    if fitted.is_here:
        each = calibration.held_out_temperatures(
            evaluation.logits, evaluation.labels, evaluation.activation
        )
        after = _reliability(evaluation, evaluation.probabilities(each))
    elif fitted.temperature != 1:
        scores = evaluation.probabilities(fitted.temperature)
        after = _reliability(evaluation, scores)
    return {
        "temperature": fitted.temperature,
        "is_here": fitted.is_here,
        "is_held_out": fitted.is_held_out,
        "before": before.error,
        "after": None if after is None else after.error,
        "diagram": diagrams.draw_reliability(before, after),
    }


def _reliability(evaluation: Evaluation, scores: np.ndarray) -> calibration.Reliability:
    """Reliability of the best class or, with several labels, of all classes."""
    if evaluation.is_multi_label:
        return calibration.measure_reliability(scores, evaluation.labels > 0)
    return calibration.measure_reliability(scores.max(axis=1), evaluation.is_hit)


def _coverage(evaluation: Evaluation, gallery: Gallery) -> dict[str, Any]:
    scores = gallery.scores(evaluation).max(axis=1)
    curve = measures.coverage_curve(scores, evaluation.is_hit)
    return {
        "rows": measures.coverage_table(scores, evaluation.is_hit),
        "diagram": diagrams.draw_coverage(curve),
    }


def _data(evaluation: Evaluation, survey: DataSurvey | None) -> dict[str, Any]:
    warnings = list(survey.warnings) if survey else []
    if evaluation.num_damaged:
        warnings.append(
            f"{evaluation.num_damaged:,} images of {evaluation.split!r} cannot be "
            "read and are not counted."
        )
    if survey and survey.counts:
        parts, counts = survey.parts, survey.counts
    else:
        parts, counts = [evaluation.split], _label_counts(evaluation)
    return {
        "warnings": warnings,
        "parts": parts,
        "counts": [
            (name, [of_class.get(part, 0) for part in parts])
            for name, of_class in list(counts.items())[:_MAX_ROWS]
        ],
    }


def _label_counts(evaluation: Evaluation) -> dict[str, dict[str, int]]:
    if evaluation.is_multi_label:
        counts = evaluation.labels.sum(axis=0, dtype="int64")
    else:
        counts = np.bincount(evaluation.labels, minlength=evaluation.logits.shape[1])
    names = evaluation.run.class_names
    return {
        name: {evaluation.split: int(count)}
        for name, count in zip(names, counts, strict=True)
    }


def _settings(evaluation: Evaluation) -> list[tuple[str, str]]:
    settings = list_settings(evaluation.run.experiment)
    return [(name, to_text(value)) for name, value in settings.items()]
