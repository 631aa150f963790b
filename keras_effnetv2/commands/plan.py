"""`plan`: what training will take on TPUs, without having any."""

import argparse
import sys

from keras_effnetv2 import planning
from keras_effnetv2.commands.shared.arguments import add_set_argument
from keras_effnetv2.commands.shared.chosen_experiments import find_experiment
from keras_effnetv2.planning.chips import CHIPS
from keras_effnetv2.training.experiments.named import RECIPES

EXAMPLE = "python -m keras_effnetv2 plan --experiment imagenet-s --device v5e:4x4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the experiment, the device, and how much to compile."""
    parser.add_argument(
        "--experiment",
        metavar="NAME",
        help=f"{', '.join(RECIPES)}; or the work folder of a run, with its settings",
    )
    parser.add_argument(
        "--device",
        required=True,
        metavar="CHIP:TOPOLOGY",
        help="chips and how they are connected. "
        + "; ".join(f"{x.name}: {x.examples}" for x in CHIPS.values()),
    )
    add_set_argument(
        parser,
        "change a setting, as in --set batch_size=1024; may be repeated",
    )
    parser.add_argument(
        "--stages",
        action="store_true",
        help="compile every stage, not only the one with the most pixels per batch",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="compile only the batch of the settings, without searching the largest "
        "batch that fits or trying model.remat, which takes about six times as long",
    )


def run(args: argparse.Namespace) -> int:
    """Compiles, printing a line for each compiled step, and prints the table."""
    experiment = find_experiment(argparse.Namespace(**vars(args), workdir=None))
    from keras_effnetv2.planning.plan_report import format_step

    def tell(step: planning.StepCost) -> None:
        print(format_step(step), file=sys.stderr, flush=True)

    plan = planning.plan(
        experiment, args.device, every_stage=args.stages, quick=args.quick, tell=tell
    )
    print(planning.format_plan(plan))
    return 0
