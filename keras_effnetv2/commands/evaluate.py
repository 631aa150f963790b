"""`evaluate`: measures the accuracy of a run, or of released weights."""

import argparse
import sys

from keras_effnetv2.commands.shared.arguments import (
    add_checkpoint_argument,
    add_device_arguments,
    add_set_argument,
    check_checkpoint,
)
from keras_effnetv2.errors import InputError

EXAMPLE = "python -m keras_effnetv2 evaluate --workdir runs/smoke"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the weights and the images."""
    parser.add_argument(
        "--workdir", metavar="DIR", help="work folder of the run to evaluate"
    )
    add_checkpoint_argument(parser)
    parser.add_argument(
        "--experiment",
        metavar="NAME",
        help="without --workdir: whose data to evaluate on",
    )
    parser.add_argument(
        "--weights",
        help="without --workdir: imagenet, imagenet21k, imagenet21k-ft1k, a file or "
        "folder of weights, or an https URL, for the experiment's variant",
    )
    add_device_arguments(parser)
    add_set_argument(
        parser,
        "change a setting, as in --set data.eval_split=test",
    )
    parser.add_argument(
        "--report",
        metavar="FILE.html",
        help="with --workdir: write a report there, with the network's mistakes, and "
        "keep the temperature that calibrates it",
    )
    parser.add_argument(
        "--tta",
        action="store_true",
        help="with --report: also measure the mean over several views of each image",
    )


def run(args: argparse.Namespace) -> int:
    """Prints loss and accuracies."""
    from keras_effnetv2.training.experiments.settings import override
    from keras_effnetv2.training.runs.evaluation import evaluate_run, evaluate_weights
    from keras_effnetv2.training.runs.trained import describe_weights

    check_checkpoint(args)
    _check_report(args)
    devices = {"strategy": args.strategy, "tpu": args.tpu}
    if args.workdir is not None:
        if args.experiment is not None or args.weights is not None:
            raise InputError(
                f"--workdir {args.workdir} determines experiment and weights. "
                "Leave out --experiment and --weights, or --workdir."
            )
        if args.report is not None:
            result = _report(args)
        else:
            print(describe_weights(args.workdir, args.checkpoint), file=sys.stderr)
            result = evaluate_run(
                args.workdir, args.set, checkpoint=args.checkpoint, **devices
            )
    elif args.experiment is not None and args.weights is not None:
        from keras_effnetv2.training.experiments.named import get_experiment

        experiment = override(get_experiment(args.experiment), args.set)
        result = evaluate_weights(experiment, args.weights, **devices)
    else:
        raise InputError(
            "Say what to evaluate: --workdir of a finished run, or --experiment and "
            "--weights."
        )
    names = {"accuracy": "accuracy", "top5_accuracy": "top-5"}
    shown = [f"{names[x]} {result[x]:.2%}" for x in names if x in result]
    print("  ".join([*shown, f"loss {result['loss']:.4f}"]))
    return 0


def _check_report(args: argparse.Namespace) -> None:
    """Refuses flags that do not work with a report, or need one."""
    if args.report is None:
        if args.tta:
            raise InputError("--tta needs a report. Say where: --report FILE.html.")
        return
    if args.workdir is None:
        raise InputError("--report needs the work folder of a run. Name it: --workdir.")
    if args.strategy not in ("auto", "cpu") or args.tpu:
        raise InputError(
            "--report runs on one device. Received: --strategy "
            f"{args.strategy}. Leave it out."
        )


def _report(args: argparse.Namespace) -> dict[str, float]:
    """Writes the report; returns what was measured for it."""
    from keras_effnetv2.reports.measures import describe_calibration
    from keras_effnetv2.reports.writing import write_and_measure
    from keras_effnetv2.training.runs.trained import describe_weights

    path, result = write_and_measure(
        args.workdir,
        args.report,
        tta=args.tta,
        checkpoint=args.checkpoint,
        assignments=args.set,
    )
    print(describe_weights(args.workdir, args.checkpoint), file=sys.stderr)
    print(describe_calibration(result), file=sys.stderr)
    print(f"Report: {path}", file=sys.stderr)
    return result
