"""Classifies image files with TF Serving, by REST or gRPC, or measures the server.

    python tools/serving/client.py --server http://localhost:8501 --model NAME IMAGE ...
    python tools/serving/client.py --server grpc://localhost:8500 --model NAME \
        --label canary --requests 1000 --concurrency 16 IMAGE ...

REST needs only Python; gRPC needs keras_effnetv2[export]. Files are sent as they are:
the server decodes, rotates and crops them.
"""

import argparse
import pathlib
import sys
from collections.abc import Iterator, Sequence

import load
from transports import Outputs, RequestError, Target, connect, with_retries

_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="file, or folder")
    parser.add_argument("--server", required=True, help="http(s):// or grpc(s)://")
    parser.add_argument("--model", required=True, help="its name on the server")
    version = parser.add_mutually_exclusive_group()
    version.add_argument("--version", type=int, help="default: the largest")
    version.add_argument("--label", help="instead: stable or canary")
    parser.add_argument(
        "--signature", choices=("classify", "serving_bytes"), default="classify"
    )
    parser.add_argument(
        "--batch_size", type=int, default=8, help="images per request (default: 8)"
    )
    parser.add_argument(
        "--timeout", type=float, default=30, help="seconds per request (default: 30)"
    )
    parser.add_argument(
        "--retries", type=int, default=4, help="after transient errors (default: 4)"
    )
    parser.add_argument("--top", type=int, default=5, help="classes (default: 5)")
    parser.add_argument(
        "--requests", type=int, metavar="N", help="send N requests, and print figures"
    )
    parser.add_argument(
        "--concurrency", type=int, default=1, metavar="C", help="requests at a time"
    )


def find_images(names: Sequence[str]) -> list[pathlib.Path]:
    """The named files, and image files in named folders.

    Raises:
        ValueError: there are none.
    """
    paths: list[pathlib.Path] = []
    for path in map(pathlib.Path, names):
        inside = sorted(path.glob("[!.]*")) if path.is_dir() else []
        paths += [x for x in inside if x.suffix.lower() in _SUFFIXES]
        paths += [] if path.is_dir() else [path]
    if not paths:
        raise ValueError(f"No image files ({', '.join(sorted(_SUFFIXES))}) in {names}.")
    return paths


def best_rows(outputs: Outputs, top: int) -> list[list[tuple[float, str]]]:
    """Score and class of the best `top` of each image, best first."""
    if "probabilities" in outputs:
        ranked = [
            sorted(enumerate(scores), key=lambda x: -x[1])[:top]
            for scores in outputs["probabilities"]
        ]
        return [[(score, f"class {i}") for i, score in row] for row in ranked]
    scores, classes = outputs["scores"], outputs["classes"]
    names = outputs.get("labels") or [[f"class {i}" for i in row] for row in classes]
    return [list(zip(*x, strict=True))[:top] for x in zip(scores, names, strict=True)]


class Client:
    """Sends image files, and retries if that may help."""

    def __init__(self, args: argparse.Namespace) -> None:
        target = Target(args.model, args.signature, args.version, args.label)
        self.transport = connect(args.server, target, args.timeout)
        self.retries = args.retries

    def predict(self, files: Sequence[bytes]) -> Outputs:
        """Outputs of a batch of encoded images, by name.

        Raises:
            RequestError: the last try failed, too.
        """
        return with_retries(lambda: self.transport.predict(files), self.retries)

    def classify(
        self, paths: Sequence[pathlib.Path], top: int
    ) -> Iterator[tuple[pathlib.Path, list | RequestError]]:
        """The best classes of each file, or the error."""
        try:
            outputs = self.predict([path.read_bytes() for path in paths])
            yield from zip(paths, best_rows(outputs, top), strict=True)
        except RequestError as error:
            if error.retryable or len(paths) == 1:
                yield from ((path, error) for path in paths)
                return
            # One damaged file fails its batch; sent alone, the others get an answer.
            for path in paths:
                yield from self.classify([path], top)


def print_classes(client: Client, paths: Sequence[pathlib.Path], args) -> int:
    """Prints a table for every file; returns 1 if one has no answer."""
    failed = 0
    for start in range(0, len(paths), args.batch_size):
        batch = paths[start : start + args.batch_size]
        for path, answer in client.classify(batch, args.top):
            if isinstance(answer, RequestError):
                failed = 1
                reason = " ".join(str(answer).split())
                print(f"error: {path}: {reason}", file=sys.stderr, flush=True)
                continue
            print(path)
            for score, name in answer:
                print(f"{score:10.4f}  {name}", flush=True)
    return failed


def print_figures(client: Client, paths: Sequence[pathlib.Path], args) -> int:
    """Prints the server's performance under load; returns 1 if a request failed."""
    files = [path.read_bytes() for path in paths]

    def send(number: int) -> None:
        first = number * args.batch_size
        batch = [files[(first + i) % len(files)] for i in range(args.batch_size)]
        client.predict(batch)

    send(0)  # Connections and the first answer of each kind take longer.
    figures = load.measure(send, args.requests, args.concurrency)
    print("\n".join(figures.lines(args.batch_size)))
    return 1 if figures.failures else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    args = parser.parse_args(arguments)
    counts = {x: getattr(args, x) for x in ("batch_size", "top", "concurrency")}
    if min(*counts.values(), args.requests or 1) < 1 or args.retries < 0:
        parser.error("numbers must be at least 1, retries at least 0")
    run = print_classes if args.requests is None else print_figures
    try:
        client = Client(args)
        try:
            return run(client, find_images(args.images), args)
        finally:
            client.transport.close()
    except (OSError, ValueError, ImportError, RequestError) as error:
        print("error:", error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
