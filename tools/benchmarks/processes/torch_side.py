"""A process that runs a network of timm on PyTorch, on the processor in channels_last.

    python -m benchmarks.processes.torch_side KIND PRECISION SOURCE NAME 0 SIZExBATCH...

Arguments, step and questions are those of `keras_side`. The network is eager, as most
PyTorch users run it, or goes through `torch.compile` if SOURCE is `compiled`; it gets
normalised pixels. Its environment has torch and timm, but not TensorFlow.
"""

import functools
import sys

import timm
import torch

from benchmarks.workers import Run, answer, median_seconds, warm_up

# `keras_side.RMSPROP` in PyTorch's words.
_RMSPROP = {"lr": 1e-5, "alpha": 0.9, "momentum": 0.9, "eps": 1e-3}
_DROP_RATES = {"drop_rate": 0.2, "drop_path_rate": 0.2}  # Those of B0 and S.


def images(image_size: int, batch_size: int) -> torch.Tensor:
    """float32 -1..1, `(batch_size, 3, image_size, image_size)`, channels last."""
    pixels = 2 * torch.rand(batch_size, 3, image_size, image_size) - 1
    return pixels.contiguous(memory_format=torch.channels_last)


def training_run(
    network: torch.nn.Module, image_size: int, batch_size: int, mixed: bool
) -> Run:
    """Forward, backward and update on a batch in memory."""
    network.train()
    optimizer = torch.optim.RMSprop(network.parameters(), **_RMSPROP)
    batch = images(image_size, batch_size)
    labels = torch.arange(batch_size) % 1000

    def run() -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = torch.nn.functional.cross_entropy(network(batch), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def inference_run(network: torch.nn.Module, image_size: int, batch_size: int) -> Run:
    """An eager call, to NumPy."""
    network.eval()
    batch = images(image_size, batch_size)

    def run() -> object:
        with torch.inference_mode():
            return network(batch).numpy()

    return run


def prepare(
    kind: str, precision: str, source: str, name: str, _remat: str, *sizes: str
) -> tuple:
    """The process's description of itself, and the functions it answers with."""
    network = timm.create_model(name, pretrained=False, **_DROP_RATES)
    network = network.to(memory_format=torch.channels_last)
    if source == "compiled":
        # Each size has its own code, as ours has graphs.
        network = torch.compile(network, dynamic=False)
    mixed = precision == "mixed_bfloat16"
    make_run = functools.partial(training_run, mixed=mixed)
    if kind == "infer":
        make_run = inference_run
    runs = [make_run(network, *map(int, words.split("x"))) for words in sizes]
    return warm_up(kind, runs), {
        "seconds": lambda place, *least: median_seconds(runs[place], *least),
    }


if __name__ == "__main__":
    answer(functools.partial(prepare, *sys.argv[1:]))
