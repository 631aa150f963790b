"""A worker to be killed: python worker.py LOCATION NUM_TRIALS FOLDER [HANG]."""

import pathlib
import sys
import time

from keras_effnetv2.search.sampling.samplers import create_sampler
from keras_effnetv2.search.studies.study import open_study
from keras_effnetv2.search.studies.workers import CandidateError, run_worker

DECISIONS = {"operator": ("a", "b"), "layers": tuple(range(1000))}
FAILING = 3  # The number of the trial that fails.


def main(location, num_trials, folder, hang=""):
    """Notes each evaluation in `folder`; with `hang`, never ends the first."""
    folder = pathlib.Path(folder)

    def note(what, trial, point):
        with (folder / "log").open("a") as file:
            file.write(f"{what} {trial.number} {point['layers']}\n")

    def objective(trial, point):
        note("begin", trial, point)
        while hang:
            time.sleep(0.01)
        time.sleep(0.1)
        note("end", trial, point)
        if trial.number == FAILING:
            raise CandidateError("out of memory")
        return point["layers"] / 1000

    study = open_study(location, DECISIONS, {}, create_sampler("reinforce", 0))
    run_worker(study, objective, int(num_trials), interval=0.5, patience=60.0)


if __name__ == "__main__":
    main(*sys.argv[1:])
