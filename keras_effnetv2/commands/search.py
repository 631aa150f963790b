"""`search`: training-aware architecture search, or going on with one."""

import argparse
import dataclasses
import pathlib
import statistics
import sys

from keras_effnetv2.search.experiments import SEARCHES, SearchExperiment, get_search

# Trials that end by themselves before the pruner compares, and epochs likewise.
_PRUNER_TRIALS, _PRUNER_EPOCHS = 8, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which search, where it is kept, how long and by how many."""
    parser.add_argument(
        "--experiment", required=True, metavar="NAME", help=", ".join(SEARCHES)
    )
    parser.add_argument(
        "--study",
        required=True,
        metavar="FILE",
        help="journal (.journal), SQLite file (.db) or database URL; one that is there "
        "goes on. Results, figures and the winner are written beside a file",
    )
    parser.add_argument(
        "--sampler",
        default="reinforce",
        help="of candidates: reinforce, random, tpe or nsga2 (default: reinforce)",
    )
    parser.add_argument("--trials", type=int, help="of the study, over all workers")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes on this machine (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sampler")
    parser.add_argument(
        "--prune",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="end hopeless trainings early (default: yes)",
    )
    parser.add_argument(
        "--confirm",
        type=int,
        default=0,
        metavar="SEEDS",
        help="at the end, train the winner and the backbone afresh so many times",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        help="of results (default: the folder FILE without its ending)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help="change a setting of the candidates' training, as in --set epochs=5",
    )


def run(args: argparse.Namespace) -> int:
    """Searches, then writes what was found."""
    from keras_effnetv2.search import processes

    search = _search(args)
    if args.workers < 1:
        raise ValueError(f"--workers must be at least 1. Received: {args.workers}.")
    output = _output(args)
    study = _open(args, search)
    if args.workers == 1:
        _work(args, search, study)
    else:
        processes.run_workers(_worker_command(), args.workers)
        study = _open(args, search)
    winner = write_found(study, search, output)
    if winner is not None and args.confirm:
        _confirm(search, winner, args.confirm)
    return 0


def _search(args: argparse.Namespace) -> SearchExperiment:
    """The search with the settings that were changed."""
    from keras_effnetv2.training.settings import override

    search = get_search(args.experiment)
    return dataclasses.replace(search, training=override(search.training, args.set))


def _output(args: argparse.Namespace) -> pathlib.Path:
    if args.output is None and "://" in args.study:
        raise ValueError(
            f"--output is needed with a database. Received: --study {args.study}."
        )
    output = pathlib.Path(args.output or pathlib.Path(args.study).with_suffix(""))
    output.mkdir(parents=True, exist_ok=True)
    return output


def _open(args: argparse.Namespace, search: SearchExperiment):
    """The study, made if need be."""
    import optuna

    from keras_effnetv2.search.samplers import create_sampler
    from keras_effnetv2.search.study import open_study
    from keras_effnetv2.training.settings import to_json

    settings = {
        "search": search.name,
        "training": to_json(search.training),
        "exponents": [search.step_exponent, search.parameter_exponent],
        "sampler": args.sampler,
        "seed": args.seed,
    }
    pruner = optuna.pruners.MedianPruner(_PRUNER_TRIALS, _PRUNER_EPOCHS)
    return open_study(
        args.study,
        search.space.decisions,
        settings,
        create_sampler(args.sampler, args.seed),
        pruner,
    )


def _work(args: argparse.Namespace, search: SearchExperiment, study) -> None:
    from keras_effnetv2.search.objective import SearchObjective
    from keras_effnetv2.search.progress import SearchProgress
    from keras_effnetv2.search.workers import run_worker

    num_trials = args.trials or search.num_trials
    print(f"{search.name}: {search.space.size:.3g} networks, {num_trials} trials by "
          f"{args.sampler}", file=sys.stderr)  # fmt: skip
    objective = SearchObjective(search, args.prune)
    run_worker(study, objective, num_trials, SearchProgress(num_trials))


def _worker_command() -> list[str]:
    """This command for one worker; what follows the trials is for the first process."""
    flags = [*sys.argv[1:], "--workers", "1", "--confirm", "0"]
    return [sys.executable, "-m", "keras_effnetv2", *flags]


def write_found(study, search: SearchExperiment, output: pathlib.Path):
    """Writes results, figures and the winner; returns the winner, if there is one."""
    from keras_effnetv2.search.figures import draw_figures
    from keras_effnetv2.search.results import best_result, read_results, write_results
    from keras_effnetv2.variant_files import write_variant

    results = read_results(study)
    write_results(study, output / "results.csv")
    pictures = draw_figures(results, output, search.name)
    for path in (output / "results.csv", *pictures):
        print(path)
    best = best_result(results)
    if best is None:
        print("No trial has a reward yet.")
        return None
    winner = search.space.variant(best.point, name=f"{search.name}-found")
    write_variant(winner, output / "found.json")
    print(
        f"{output / 'found.json'}: reward {best.reward:.4f}, accuracy "
        f"{best.accuracy:.1%}, step {1000 * best.step_seconds:.1f} ms, "
        f"{best.parameters:,} parameters (trial {best.number})"
    )
    return winner


def _confirm(search: SearchExperiment, winner, num_seeds: int) -> None:
    """Trains winner and backbone afresh, by turns, with seeds that no trial had."""
    from keras_effnetv2.search.objective import SearchObjective

    objective = SearchObjective(search, prune=False)
    rewards: dict[str, list[float]] = {}
    for seed in range(1000, 1000 + num_seeds):
        for variant in (search.space.backbone, winner):
            accuracy = objective.evaluator.accuracy(variant, seed=seed)
            measured, reward = objective.measure(variant, accuracy)
            rewards.setdefault(variant.name, []).append(reward)
            print(
                f"seed {seed}  {variant.name}: reward {reward:.4f}, accuracy "
                f"{accuracy:.1%}, step {1000 * measured.step_seconds:.1f} ms, "
                f"{measured.parameters:,} parameters",
                flush=True,
            )
    for name, values in rewards.items():
        spread = statistics.stdev(values) if num_seeds > 1 else 0.0
        print(f"{name}: reward {statistics.mean(values):.4f} ± {spread:.4f}")
