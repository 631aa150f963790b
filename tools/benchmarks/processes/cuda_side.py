"""A process that runs a timm network on PyTorch, in bfloat16 and channels_last.

    python -m benchmarks.processes.cuda_side NAME "training 300 128" "matrix 8192 1" ...

The step is that of `jax_side`, eager, as PyTorch's users run it. `matrix` multiplies
two square matrices of the given side.
"""

import functools

import timm
import torch

from benchmarks.processes.accelerator import Step, parse, serve

_DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
_DROP_RATES = {"drop_rate": 0.2, "drop_path_rate": 0.2}  # Those of B0 and S.


def make_steps(name: str, *works: str) -> tuple[dict[str, Step], object]:
    """A step for each work, and how to wait for one."""
    torch.backends.cudnn.benchmark = True
    makers = {"training": _training, "inference": _inference}
    steps = {}
    for work in works:
        kind, size, batch = parse(work)
        if kind == "matrix":
            matrix = torch.randn(size, size, device=_DEVICE, dtype=torch.bfloat16)
            steps[work] = functools.partial(torch.matmul, matrix, matrix)
            continue
        images = torch.randn(batch, 3, size, size, device=_DEVICE)
        images = images.to(memory_format=torch.channels_last)
        model = timm.create_model(name, **_DROP_RATES).to(_DEVICE)
        model = model.to(memory_format=torch.channels_last)
        steps[work] = makers[kind](model, images)
    return steps, _wait


def _wait(_: object) -> None:
    if _DEVICE == "cuda":
        torch.cuda.synchronize()


def _bfloat16() -> torch.autocast:
    return torch.autocast(_DEVICE, dtype=torch.bfloat16)


def _inference(model: torch.nn.Module, images: torch.Tensor) -> Step:
    model.eval()

    def step() -> torch.Tensor:
        with torch.inference_mode(), _bfloat16():
            return model(images)

    return step


def _training(model: torch.nn.Module, images: torch.Tensor) -> Step:
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    labels = torch.arange(len(images), device=_DEVICE) % 1000

    def step() -> torch.Tensor:
        with _bfloat16():
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    return step


if __name__ == "__main__":
    serve(make_steps)
