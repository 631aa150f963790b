"""A process that classifies the files of a folder as timm's `inference.py` does.

    python -m benchmarks.processes.timm_predict_side FOLDER MODEL BATCH_SIZE

Its environment has torch and timm, but not TensorFlow.
"""

import functools
import sys
import time

import timm
import torch
from timm.data import create_dataset, create_loader, resolve_data_config

from benchmarks.workers import answer


def classify(folder: str, network: torch.nn.Module, batch_size: int) -> float:
    """Seconds from files to the five best classes."""
    start = time.perf_counter()
    loader = create_loader(
        create_dataset(root=folder, name=""),
        batch_size=batch_size,
        use_prefetcher=False,
        num_workers=torch.get_num_threads(),
        **resolve_data_config({}, model=network),
    )
    with torch.inference_mode():
        for images, _ in loader:
            images = images.contiguous(memory_format=torch.channels_last)
            network(images).softmax(-1).topk(5)
    return time.perf_counter() - start


def prepare(folder: str, model: str, batch_size: str) -> tuple:
    """The process's description of itself, and the functions it answers with."""
    name = f"tf_{model.replace('-', '_')}"
    network = timm.create_model(name, pretrained=False).eval()
    network = network.to(memory_format=torch.channels_last)
    run = functools.partial(classify, folder, network, int(batch_size))
    return {}, {"timm": run}


if __name__ == "__main__":
    answer(functools.partial(prepare, *sys.argv[1:]))
