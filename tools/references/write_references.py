"""Writes outputs of timm's and torchvision's own code for narrow networks.

    python tools/references/write_references.py tests/reference

Needs timm 1.0.31 and torchvision 0.29.1 with PyTorch. Weights are random; each network
has a `.safetensors` file of them under its publisher's names, and an `.npz` file of the
logits of `images.npz`, in inference and in training mode.
"""

import argparse
import math
import pathlib
from functools import partial

import numpy as np
import torch
from safetensors.torch import save_file
from timm.models import efficientnet as timm_networks
from torchvision.models import efficientnet as torchvision_networks

CLASSES = 5
# Even sides, where symmetric padding differs from TensorFlow's, and odd ones.
SHAPES = {"even": (6, 64, 96, 3), "odd": (6, 75, 49, 3)}
V2_WIDTH, V2_DEPTH = 0.1, 0.13
V1_WIDTH, V1_DEPTH = 0.1, 0.3
LITE_WIDTH = 0.05  # Its top stays wide.


def timm_v2(**options) -> torch.nn.Module:
    return timm_networks._gen_efficientnetv2_s(
        "narrow", V2_WIDTH, V2_DEPTH, num_classes=CLASSES, **options
    )


def timm_lite() -> torch.nn.Module:
    return timm_networks._gen_efficientnet_lite(
        *("narrow", LITE_WIDTH, V1_DEPTH),
        num_classes=CLASSES,
        pad_type="same",
        bn_eps=1e-3,
    )


def torchvision_v2() -> torch.nn.Module:
    rows, last = torchvision_networks._efficientnet_conf("efficientnet_v2_s")
    for row in rows:
        for field in ("input_channels", "out_channels"):
            setattr(row, field, row.adjust_channels(getattr(row, field), V2_WIDTH))
        row.num_layers = math.ceil(row.num_layers * V2_DEPTH)
    norm = partial(torch.nn.BatchNorm2d, eps=1e-3)
    return torchvision_networks.EfficientNet(
        rows,
        0.2,
        num_classes=CLASSES,
        norm_layer=norm,
        last_channel=int(last * V2_WIDTH),
    )


def torchvision_v1() -> torch.nn.Module:
    rows, last = torchvision_networks._efficientnet_conf(
        "efficientnet_b0", width_mult=V1_WIDTH, depth_mult=V1_DEPTH
    )
    return torchvision_networks.EfficientNet(
        rows, 0.2, num_classes=CLASSES, last_channel=last
    )


NETWORKS = {
    "timm-rw-t": timm_v2,
    "timm-rw-s": partial(timm_v2, rw=True),
    "timm-gc-rw-t": partial(timm_v2, se_layer="gc"),
    "timm-lite": timm_lite,
    "torchvision-v2-s": torchvision_v2,
    "torchvision-b0": torchvision_v1,
}


def spread(network: torch.nn.Module, images: torch.Tensor) -> None:
    """Uneven scales and offsets, and the moving statistics that follow from them."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.LayerNorm):
            torch.nn.init.uniform_(module.weight, 0.6, 1.2)
            torch.nn.init.normal_(module.bias, 0, 0.2)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
        elif isinstance(module, torch.nn.Conv2d) and module.bias is not None:
            torch.nn.init.normal_(module.bias, 0, 0.2)
    network.train()(images)


def without_drops(network: torch.nn.Module) -> torch.nn.Module:
    for module in network.modules():
        if type(module).__name__ in ("Dropout", "StochasticDepth"):
            module.p = 0.0
    return network


def write(name: str, folder: pathlib.Path, images: dict[str, torch.Tensor]) -> None:
    torch.manual_seed(0)
    network = without_drops(NETWORKS[name]())
    spread(network, images["even"])
    weights = {key: x.clone() for key, x in network.state_dict().items()}
    save_file(weights, folder / "publishers" / f"{name}.safetensors")
    logits = {}
    for size, batch in images.items():
        network.load_state_dict(weights)
        logits[f"{size}/inference"] = network.eval()(batch).numpy()
        logits[f"{size}/training"] = network.train()(batch).numpy()
    np.savez_compressed(folder / "publishers" / f"{name}.npz", **logits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    (folder / "publishers").mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    images = {
        size: random.integers(0, 256, shape, "uint8") for size, shape in SHAPES.items()
    }
    np.savez_compressed(folder / "publishers" / "images.npz", **images)
    tensors = {
        size: torch.from_numpy(x.transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
        for size, x in images.items()
    }
    with torch.no_grad():
        for name in NETWORKS:
            write(name, folder, tensors)


if __name__ == "__main__":
    main()
