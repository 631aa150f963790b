"""timm's and our names of networks, and where timm keeps converted releases.

Source: timm 1.0.31, `models/efficientnet.py`.
"""

import dataclasses

from keras_effnetv2.networks.architecture import Variant, apply_coefficients
from keras_effnetv2.networks.variants import VARIANTS

# timm's architecture -> our variant.
ARCHITECTURES = {
    **{
        f"tf_efficientnetv2_{size}": f"efficientnetv2-{size}"
        for size in ("b0", "b1", "b2", "b3", "s", "m", "l", "xl")
    },
    **{f"tf_efficientnet_b{i}": f"efficientnet-b{i}" for i in range(9)},
    "tf_efficientnet_l2": "efficientnet-l2",
    **{f"tf_efficientnet_lite{i}": f"efficientnet-lite{i}" for i in range(5)},
    **{f"efficientnetv2_rw_{size}": f"efficientnetv2-rw-{size}" for size in "tsm"},
    "gc_efficientnetv2_rw_t": "gc-efficientnetv2-rw-t",
}

# Family, dataset, tag of the same weights in timm's names, and sizes with it.
_CONVERTED = (
    ("efficientnetv2", "imagenet", "in1k", "b0 b1 b2 b3 s m l"),
    ("efficientnetv2", "imagenet21k", "in21k", "b3 s m l xl"),
    ("efficientnetv2", "imagenet21k-ft1k", "in21k_ft_in1k", "b3 s m l xl"),
    # keras.applications has the AutoAugment weights.
    ("efficientnet", "imagenet", "aa_in1k", "b0 b1 b2 b3 b4 b5 b6 b7"),
    ("efficientnet", "imagenet", "in1k", "lite0 lite1 lite2 lite3 lite4"),
)


def variant_of(architecture: str) -> Variant | None:
    """Our name of a timm network; None if there is none."""
    return VARIANTS.get(ARCHITECTURES.get(architecture, ""))


def architecture_of(variant: Variant) -> str | None:
    """The name of the network in timm; None if it does not have it."""
    for architecture in ARCHITECTURES:
        theirs = variant_of(architecture)
        if theirs and is_same_network(theirs, variant):
            return architecture
    return None


def converted_repository(variant_name: str, dataset: str) -> str | None:
    """The repository of a release by timm, such as `timm/tf_efficientnetv2_s.in1k`.

    None if there is none.
    """
    names = {ours: theirs for theirs, ours in ARCHITECTURES.items()}
    for family, of_dataset, tag, sizes in _CONVERTED:
        variants = [f"{family}-{size}" for size in sizes.split()]
        if dataset == of_dataset and variant_name in variants:
            return f"timm/{names[variant_name]}.{tag}"
    return None


def is_same_network(one: Variant, other: Variant) -> bool:
    """Whether two variants have the same layers, whatever their names and rates."""
    return _layers(one) == _layers(other)


def _layers(variant: Variant) -> Variant:
    return dataclasses.replace(
        apply_coefficients(variant),
        name="",
        train_size=1,
        eval_size=1,
        dropout_rate=0.0,
        drop_path_rate=0.0,
        filter_divisor=1,
        min_filter_share=0.0,
    )
