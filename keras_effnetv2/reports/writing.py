"""`write_report`: evaluates the network of a run, and writes what it found as HTML."""

import os
import pathlib
from collections.abc import Sequence

from keras_effnetv2.errors import require_modules
from keras_effnetv2.files import check_writable, replace_file
from keras_effnetv2.paths import AnyPath, as_path
from keras_effnetv2.reports.calibration import fit_temperature
from keras_effnetv2.reports.data_survey import DataSurvey
from keras_effnetv2.reports.evaluated_images import Evaluation, RunNetwork, evaluate
from keras_effnetv2.reports.measures import summarize
from keras_effnetv2.reports.report_contents import Fitted, gather
from keras_effnetv2.training.choices import CHECKPOINTS
from keras_effnetv2.training.runs.temperature import (
    read_temperature,
    write_temperature,
)

_TEMPLATES = pathlib.Path(__file__).parent / "templates"


def check_modules() -> None:
    """Does nothing if what a report needs is installed.

    Raises:
        ImportError: it is missing.
    """
    modules = ("jinja2", "matplotlib", "scipy", "sklearn")
    require_modules("A report needs", "train", *modules)


def write_report(
    workdir: str | os.PathLike,
    path: str | os.PathLike | None = None,
    *,
    tta: bool = False,
    survey: DataSurvey | None = None,
    check_training_labels: bool = False,
    checkpoint: str = CHECKPOINTS[0],
    assignments: Sequence[str] = (),
) -> AnyPath:
    """Writes what the network of a run can do, and how sure of it one may be.

    It is one HTML file that needs nothing else. The network is that of `load_run`, and
    looks once at each image of the run's evaluation split. The temperature that is
    fitted to what it gives is written to the work folder, and from then on `load_run`
    and every export divide logits by it; but not where the images are others than the
    run's own, or were trained on.

    Args:
        workdir: of the run.
        path: of the HTML file; an older one is replaced. None: `report.html` in the
            work folder.
        tta: also measure the mean over several views of each image, which takes two to
            four times as long.
        survey: of the data, to stand in the report.
        check_training_labels: look for wrong labels among the images that were trained
            on too, which takes one more look at each.
        checkpoint: as for `load_run`.
        assignments: settings to change, as `override` takes them: of the data, say.

    Returns:
        The path of the file.

    Raises:
        ValueError: no run with such weights, or no such images.
        OSError: the file cannot be written.
        ImportError: jinja2, matplotlib, SciPy or scikit-learn is missing.
    """
    written, _ = write_and_measure(
        workdir,
        path,
        tta=tta,
        survey=survey,
        check_training_labels=check_training_labels,
        checkpoint=checkpoint,
        assignments=assignments,
    )
    return written


def write_and_measure(
    workdir: str | os.PathLike,
    path: str | os.PathLike | None = None,
    *,
    tta: bool = False,
    survey: DataSurvey | None = None,
    check_training_labels: bool = False,
    checkpoint: str = CHECKPOINTS[0],
    assignments: Sequence[str] = (),
) -> tuple[AnyPath, dict[str, float]]:
    """As `write_report`; also gives what `evaluate_run` does, and the calibration.

    That is `calibration_error`, the expected one in 15 bins of the scores as they were
    trained; and, where there is a temperature, this as `temperature`, and
    `calibrated_error`.
    """
    check_modules()
    run = RunNetwork.open(workdir, checkpoint, assignments)
    written = as_path(path or run.workdir.report)
    check_writable(written.parent)
    data = run.experiment.data
    evaluation = evaluate(run, data.eval_split, tta)
    trained = evaluate(run, data.train_split) if check_training_labels else None
    fitted = _fit(evaluation)
    contents = gather(evaluation, fitted, survey, trained)
    text = _rendered(contents)
    replace_file(written, text.encode("utf-8", "backslashreplace"))
    figures = summarize(evaluation, fitted.temperature)
    calibration = contents["calibration"]
    figures["calibration_error"] = calibration["before"]
    if calibration["after"] is not None:
        figures["calibrated_error"] = calibration["after"]
        figures["temperature"] = fitted.temperature
    return written, figures


def _fit(evaluation: Evaluation) -> Fitted:
    """The temperature of a network, kept in the work folder where it may be."""
    run = evaluation.run
    path, is_held_out = run.workdir.calibration, run.experiment.data.is_held_out
    if not (run.is_own and is_held_out):
        kept = read_temperature(path, run.weights)
        return Fitted(kept or 1.0, is_here=False, is_held_out=is_held_out)
    temperature = fit_temperature(
        evaluation.logits, evaluation.labels, evaluation.activation
    )
    write_temperature(path, run.weights, temperature, len(evaluation))
    return Fitted(temperature, is_here=True, is_held_out=True)


def _rendered(contents: dict) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda x, digits=1: f"{x:.{digits}%}"
    environment.filters["count"] = lambda x: f"{x:,}"
    return environment.get_template("report.html").render(contents)
