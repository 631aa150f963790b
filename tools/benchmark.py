"""Benchmarks against peers: each figure is a ratio measured in one run.

    python tools/benchmark.py startup|data [--repeats 7] [--json FILE]

Machines are noisy, so ours and the peer's run in turn (A B A B), each in a fresh
process where start-up is measured, and the median of the ratios is what counts.
"""

import argparse
import json
import platform

from benchmarks import data, startup

SUITES = {"startup": startup.measure, "data": data.measure}


def _print_table(rows: list[dict]) -> None:
    import keras
    import tensorflow as tf

    print(
        f"Keras {keras.__version__}, TensorFlow {tf.__version__}, Python "
        f"{platform.python_version()}, {platform.machine()}; ratio "
        f"{rows[0]['better']}: ours is faster; spread: quartiles of the ratio."
    )
    print("| work | what | ours | peer | ratio | spread |\n|---|---|---|---|---|---|")
    for row in rows:
        low, high = row["spread"]
        print(
            f"| {row['work']} | {row['metric']} | {row['ours']:.2f} | "
            f"{row['peer']:.2f} ({row['peer_name']}) | {row['ratio']:.2f} | "
            f"{low:.2f} to {high:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--repeats", type=int, default=7, help="pairs of runs")
    parser.add_argument("--json", metavar="FILE", help="also write the rows there")
    arguments = parser.parse_args()
    rows = SUITES[arguments.suite](arguments.repeats)
    _print_table(rows)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
