"""`write_report`: evaluates the network of a run, and writes the results as HTML."""

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
    """Checks that the packages for reports are installed.

    Raises:
        ImportError: a package is missing.
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
    """Writes a report on the network of a run: its quality and its reliability.

    It is one self-contained HTML file. The network is that of `load_run`, evaluated
    once on each image of the run's evaluation split. The temperature that is fitted to
    its outputs is written to the work folder, and from then on `load_run` and every
    export divide logits by it, unless the images are not the run's own or were trained
    on.

    Args:
        workdir: work folder of the run.
        path: the HTML file; an older one is replaced. None: `report.html` in the work
            folder.
        tta: whether to also measure the mean over several views of each image, which
            takes two to four times as long.
        survey: survey of the data, to be included.
        check_training_labels: whether to look for wrong labels among the training
            images too, which must then be evaluated once.
        checkpoint: as for `load_run`.
        assignments: settings to change, as for `override`, such as those of the data.

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
    """As `write_report`; also returns the results of `evaluate_run` and calibration.

    The latter is `calibration_error`, the expected one in 15 bins of the scores as
    trained, and, if there is a temperature, `temperature` and `calibrated_error`.
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
    """Fits a network's temperature, and stores it in the work folder if allowed."""
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
