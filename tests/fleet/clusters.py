"""Ray clusters on this machine, of several nodes, of which some are killed."""

import contextlib
import os
import threading
import time

from tests.conftest import ROOT


@contextlib.contextmanager
def running(num_nodes, **options):
    """Nodes of one processor each, the first with what keeps them together."""
    from ray.cluster_utils import Cluster

    kept = {name: os.environ.get(name) for name in ("PYTHONPATH", "RAY_ADDRESS")}
    # Of nodes and what runs on them.
    others = [kept["PYTHONPATH"]] if kept["PYTHONPATH"] else []
    os.environ["PYTHONPATH"] = os.pathsep.join([*others, str(ROOT)])
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options = {"num_cpus": 1, "object_store_memory": 100_000_000} | options
    head = {**options, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(num_nodes - 1):
            cluster.add_node(**options)
        os.environ["RAY_ADDRESS"] = cluster.address
        yield cluster
    finally:
        cluster.shutdown()
        for name, value in kept.items():
            os.environ.pop(name, None)
            os.environ |= {} if value is None else {name: value}


@contextlib.contextmanager
def losing_a_node(cluster, is_time):
    """A node is killed in the block as soon as it is time; else that is an error."""
    killed = threading.Event()
    is_over = threading.Event()

    def kill():
        while not is_over.is_set():
            if is_time():
                (lost, *_) = cluster.worker_nodes
                cluster.remove_node(lost, allow_graceful=False)
                killed.set()
                return
            time.sleep(0.02)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
        assert killed.is_set(), "the work was over before a node was killed"
    finally:
        is_over.set()
        thread.join()
