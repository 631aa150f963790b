"""Tasks for the processes of this machine, or for the machines of a Ray cluster.

Ray repeats tasks that are lost with a process or a machine, so a task that runs twice
must have the same effect: its output is renamed into place when it is complete.
"""

import concurrent.futures
import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from keras_effnetv2.errors import (
    InputError,
    UserError,
    WorkerError,
    require_modules,
)

ENGINES = ("local", "ray")

_Function = Callable[[Any], Any]

# Host and port of the cluster; Ray reads it.
_ADDRESS = "RAY_ADDRESS"
_SECONDS = 10.0  # To reach a cluster.
# Tasks that an actor holds at a time: the current one and the next.
_IN_FLIGHT = 2
# Tasks and results are pickled in Ray's tables, whose text is UTF-8, because file names
# need not be.
_COLUMN = "pickled"


def check_engine(engine: str) -> None:
    """Refuses unknown engines.

    Raises:
        ValueError: unknown engine.
        ImportError: Ray is missing.
    """
    if engine not in ENGINES:
        raise InputError(
            f"engine is {' or '.join(map(repr, ENGINES))}. Received: {engine!r}."
        )
    if engine == "ray":
        require_modules("Ray clusters need", "fleet", "ray", "pandas", "pyarrow")


def in_processes(
    function: _Function, tasks: Sequence[Any], num_processes: int
) -> Iterator[Any]:
    """Yields a function's result for each task, in order of completion.

    Args:
        function: defined in a module, so that other processes can import it.
        tasks: its arguments.
        num_processes: 1 runs the tasks in this process.

    Raises:
        ChildProcessError: a process was killed.
    """
    if num_processes == 1 or len(tasks) < 2:
        yield from map(function, tasks)
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        min(num_processes, len(tasks)),
        # TensorFlow does not survive a fork.
        multiprocessing.get_context("spawn"),
        _begin,
    )
    try:
        waiting = [pool.submit(function, task) for task in tasks]
        for future in concurrent.futures.as_completed(waiting):
            yield future.result()
    except BrokenProcessPool as error:
        raise WorkerError(
            f"One of {num_processes} processes was killed, as the system does if "
            "memory runs out: use fewer processes. The same command resumes."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def on_ray(function: _Function, tasks: Sequence[Any]) -> Iterator[Any]:
    """As `in_processes`, on the processors of a Ray cluster, with Ray Data.

    The cluster is the one that Ray finds: that of `RAY_ADDRESS`, or one that was
    started on this machine; otherwise this machine becomes one.

    Raises:
        ChildProcessError: there is no cluster where one should be.
    """
    with _connected():
        yield from _results(_table(tasks).map(_answer, fn_args=(function,)))


def on_actors(make: Callable[[], _Function], tasks: Sequence[Any]) -> Iterator[Any]:
    """Yields functions' results in the order of the tasks, with Ray Data.

    An actor is a process that makes its function once: one for each GPU of the cluster
    or, without GPUs, one for each machine; those of a lost machine move to others.

    Args:
        make: makes the function; defined in a module, as is the function's code.
        tasks: arguments of the function.

    Raises:
        ChildProcessError: there is no cluster where one should be.
    """
    with _connected():
        import ray.data

        num_gpus = int(ray.cluster_resources().get("GPU", 0))
        # Only one processor is asked for, so that other machines can take over the work
        # of a lost one; while it can, Ray Data gives each actor its own machine.
        needs = {"num_gpus": 1} if num_gpus else {"num_cpus": 1}
        compute = ray.data.ActorPoolStrategy(
            size=min(num_gpus or _num_machines(), len(tasks)),
            max_tasks_in_flight_per_actor=_IN_FLIGHT,
        )
        results = _table(tasks).map(
            _Actor, fn_constructor_args=(make,), compute=compute, **needs
        )
        results.context.execution_options.preserve_order = True
        yield from _results(results)


class _Actor:
    """A function that is slow to make."""

    def __init__(self, make: Callable[[], _Function]) -> None:
        self._function = make()

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        return _answer(row, self._function)


def _answer(row: dict[str, bytes], function: _Function) -> dict[str, bytes]:
    """A row with the result of a task, or with the error that is meant for users."""
    try:
        answer = function(pickle.loads(row[_COLUMN])), None
    except UserError as error:
        answer = None, error
    return {_COLUMN: pickle.dumps(answer)}


def _table(tasks: Sequence[Any]) -> Any:
    """The tasks as a Ray dataset, one block each: blocks run or are lost as a whole."""
    import ray.data
    from ray.cloudpickle import (
        dumps,  # pyright: ignore[reportAttributeAccessIssue, reportPrivateImportUsage]
    )

    rows = [{_COLUMN: dumps(task)} for task in tasks]
    return ray.data.from_items(rows, override_num_blocks=len(rows))


def _results(dataset: Any) -> Iterator[Any]:
    # Our own lines show the progress.
    dataset.context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    for row in dataset.iter_rows():
        result, error = pickle.loads(row[_COLUMN])
        if error is not None:
            raise error
        yield result


def _num_machines() -> int:
    import ray

    return sum(x["Alive"] and x["Resources"].get("CPU", 0) >= 1 for x in ray.nodes())


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    """Inside the block, this process is one of a cluster."""
    import ray

    if ray.is_initialized():
        yield
        return
    _check_address(os.environ.get(_ADDRESS, ""))
    # For a cluster that is started here: otherwise Ray reports its usage.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(
            include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False
        )
    except ConnectionError as error:
        reason = " ".join(str(error).split())
        raise WorkerError(f"The Ray cluster cannot be reached: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Refuses an address that does not answer, for which Ray would wait."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or "/" in host:
        return  # "auto", or an address of Ray's client, which has errors of its own.
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except OSError as error:
        raise WorkerError(
            "The Ray cluster cannot be reached: nobody answers at "
            f"{_ADDRESS}={address} ({error}). Start it, or unset the variable to use "
            "this machine as one."
        ) from error


def _begin() -> None:
    """Makes a new process end with its parent, and at once on Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
