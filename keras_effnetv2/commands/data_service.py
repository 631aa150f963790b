"""`data_service`: makes batches for training on machines that are too slow for it."""

import argparse

from keras_effnetv2.errors import InputError

EXAMPLE = "python -m keras_effnetv2 data_service --host input-0 --port 5050"

# Unprivileged ports; the two after the given one are for `tf.data` service itself.
_PORTS = range(1024, 65534)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the address at which training processes find it."""
    parser.add_argument(
        "--host",
        default="localhost",
        metavar="NAME",
        help="name of this machine, as training machines reach it; anyone who can "
        "reach it can use its files, so use it in trusted networks only (default: "
        "localhost)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=5050,
        help="the first of three consecutive ports (default: 5050)",
    )


def run(args: argparse.Namespace) -> int:
    """Makes batches for `train --data_service HOST:PORT` until it is stopped."""
    if args.port not in _PORTS:
        raise InputError(
            f"--port is {_PORTS[0]} to {_PORTS[-1]}. Received: {args.port}."
        )
    import tensorflow as tf

    # Before anything is computed: GPUs are for training.
    tf.config.set_visible_devices([], "GPU")
    from keras_effnetv2.training.data_service.input_process import InputProcess

    process = InputProcess(args.host, args.port)
    print(f"Batches for: train --data_service {args.host}:{args.port}", flush=True)
    process.serve()
    return 0
