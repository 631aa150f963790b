"""The files behind `weights="imagenet"` and the like: URL, hash and purpose.

Sources of facts, not of code:

- keras.applications `efficientnet_v2` and `efficientnet` (Keras 3.15.1): files and MD5.
  Its V1 files are conversions of tensorflow/tpu's AutoAugment checkpoints ("ckptsaug").
- google/automl, `efficientnetv2/effnetv2_model.py` and `README.md`; tensorflow/tpu,
  `models/official/efficientnet/lite`: checkpoints, for which no hashes were published.
- torchvision 0.29.1, `efficientnet.py`: files, whose names end with the first digits of
  their SHA-256.
- timm 1.0.31, `efficientnet.py`: repositories of the Hugging Face Hub.

`RELEASES` is what `weights="imagenet"` and the like choose from, unless a package of
`packages.py` is installed; `alternatives.py` has the other public files of the same
networks.
"""

import dataclasses
import re
from collections.abc import Iterable

from keras_effnetv2 import preprocessing
from keras_effnetv2.errors import InputError
from keras_effnetv2.networks import variants

DATASETS = (
    *("imagenet", "imagenet21k", "imagenet21k-ft1k"),
    *("noisy-student", "advprop"),  # ImageNet, of V1.
)
# Family and size of a variant, as in file names.
_NAME = re.compile(r"^efficientnet(v[12])?-?(b\d|lite\d|s|m|xl|l)")


@dataclasses.dataclass(frozen=True)
class Release:
    """One public file.

    Attributes:
        variant: name of the network.
        dataset: one of `DATASETS`.
        publisher: whose layout the file has.
        url: its URL; `hf://` for a repository of the Hub.
        digest: published hash, `"md5:HEX"` or `"sha256:HEX"`, of which the first digits
            are enough; or None.
        include_top: whether the file holds the classifier.
    """

    variant: str
    dataset: str
    publisher: str
    url: str
    digest: str | None = None
    include_top: bool = True

    @property
    def file_name(self) -> str:
        """Name in the cache and on a mirror.

        keras.applications and google/automl have unique file names; other publishers
        reuse those names for other contents, so theirs get a prefix.
        """
        name = self.url.rpartition("/")[2]
        if self.publisher in ("keras.applications", "google"):
            return name
        return f"{self.publisher}-{name}"

    @property
    def num_classes(self) -> int | None:
        """Classes of the file's classifier; None if it has none."""
        if not self.include_top:
            return None
        return 21843 if self.dataset == "imagenet21k" else 1000

    @property
    def preprocessing(self) -> preprocessing.Preprocessing:
        """The preprocessing of the weights, and the meaning of their outputs."""
        size = variants.get_variant(self.variant).eval_size
        return preprocessing.record(self.variant, self.dataset, size)


def dataset_of(file_name: str) -> str | None:
    """The weights in a file, from its name; None if the name does not tell.

    `"efficientnetv2-s-21k-ft1k.tgz"` and `"tf_efficientnetv2_s.in21k_ft_in1k"` are
    fine-tuned from ImageNet-21k, `"efficientnetv2-s-21k.h5"` is ImageNet-21k itself.
    """
    if re.search(r"21k?[-_]?ft[-_]?(in)?1k", file_name):
        return "imagenet21k-ft1k"
    return "imagenet21k" if "21k" in file_name else None


def datasets(variant_name: str) -> tuple[str, ...]:
    """Datasets for which `variant_name` has released weights; empty if none."""
    found = {row.dataset for row in RELEASES if row.variant == variant_name}
    return tuple(dataset for dataset in DATASETS if dataset in found)


def list_variants(pattern: str = "*", weights: str | None = None) -> list[str]:
    """Names that `create_model` accepts: V2, V1, Lite, timm's, torchvision's.

    Args:
        pattern: shell pattern of the names: `"*v2-b*"`.
        weights: `"imagenet"`, `"imagenet21k"` or `"imagenet21k-ft1k"`: only those with
            such weights.

    Raises:
        ValueError: unknown weights.
    """
    names = variants.list_variants(pattern)
    if weights is None:
        return names
    if weights not in DATASETS:
        raise InputError(f"weights must be one of {DATASETS}. Received: {weights!r}.")
    return [name for name in names if weights in datasets(name)]


def find(variant_name: str, dataset: str, include_top: bool = True) -> Release:
    """The file that `weights=dataset` means for a variant.

    Args:
        variant_name: e.g. `"efficientnetv2-s"`.
        dataset: one of `DATASETS`.
        include_top: False prefers a file without a classifier, if there is one.

    Raises:
        ValueError: nobody released such weights.
    """
    found = [
        row
        for row in RELEASES
        if row.variant == variant_name and row.dataset == dataset
    ]
    if found:
        return next((row for row in found if row.include_top == include_top), found[0])
    known = datasets(variant_name)
    if known:
        expected = f"Expected one of {known}, a weights file"
    else:
        expected = "It is a custom variant, without released weights: pass a file"
    raise InputError(
        f"There are no weights {dataset!r} for {variant_name!r}. {expected} "
        "(weights=FILE), or weights=None for random values."
    )


def rows(
    publisher: str, base_url: str, files: Iterable[tuple[str, str | None]]
) -> tuple[Release, ...]:
    """Releases from `(file name, MD5)`; the rest follows from the names."""
    releases = []
    for name, md5 in files:
        ((family, size),) = _NAME.findall(name)
        releases.append(
            Release(
                variant=f"efficientnet{'v2' if family == 'v2' else ''}-{size}",
                dataset=dataset_of(name) or "imagenet",
                publisher=publisher,
                url=base_url + name,
                digest=md5 and f"md5:{md5}",
                include_top="_notop" not in name,
            )
        )
    return tuple(releases)


# File, MD5.
_KERAS_V2 = (
    ("efficientnetv2-b0.h5", "21ecbf6da12460d5c40bb2f29ceb2188"),
    ("efficientnetv2-b0_notop.h5", "893217f2bb855e2983157299931e43ff"),
    ("efficientnetv2-b1.h5", "069f0534ff22adf035c89e2d9547a9dc"),
    ("efficientnetv2-b1_notop.h5", "0e80663031ca32d657f9caa404b6ec37"),
    ("efficientnetv2-b2.h5", "424e49f28180edbde1e94797771950a7"),
    ("efficientnetv2-b2_notop.h5", "1dfe2e7a5d45b6632553a8961ea609eb"),
    ("efficientnetv2-b3.h5", "1f1fc43bd98a6e4fd8fdfd551e02c7a0"),
    ("efficientnetv2-b3_notop.h5", "f6abf7b5849ac99a89b50dd3fd532856"),
    ("efficientnetv2-s.h5", "e1d88a8495beba45748fedd0cecbe016"),
    ("efficientnetv2-s_notop.h5", "af0682fb74e8c54910f2d4393339c070"),
    ("efficientnetv2-m.h5", "a3bf6aa3276309f4fc6a34aa114c95cd"),
    ("efficientnetv2-m_notop.h5", "1b8dc055df72dde80d614482840fe342"),
    ("efficientnetv2-l.h5", "27e6d408b53c7ebc868fefa357689935"),
    ("efficientnetv2-l_notop.h5", "b0b66b5c863aef5b46e8608fe1711615"),
)
_KERAS_V1 = (
    ("efficientnetb0.h5", "902e53a9f72be733fc0bcb005b3ebbac"),
    ("efficientnetb0_notop.h5", "50bc09e76180e00e4465e1a485ddc09d"),
    ("efficientnetb1.h5", "1d254153d4ab51201f1646940f018540"),
    ("efficientnetb1_notop.h5", "74c4e6b3e1f6a1eea24c589628592432"),
    ("efficientnetb2.h5", "b15cce36ff4dcbd00b6dd88e7857a6ad"),
    ("efficientnetb2_notop.h5", "111f8e2ac8aa800a7a99e3239f7bfb39"),
    ("efficientnetb3.h5", "ffd1fdc53d0ce67064dc6a9c7960ede0"),
    ("efficientnetb3_notop.h5", "af6d107764bb5b1abb91932881670226"),
    ("efficientnetb4.h5", "18c95ad55216b8f92d7e70b3a046e2fc"),
    ("efficientnetb4_notop.h5", "ebc24e6d6c33eaebbd558eafbeedf1ba"),
    ("efficientnetb5.h5", "ace28f2a6363774853a83a0b21b9421a"),
    ("efficientnetb5_notop.h5", "38879255a25d3c92d5e44e04ae6cec6f"),
    ("efficientnetb6.h5", "165f6e37dce68623721b423839de8be5"),
    ("efficientnetb6_notop.h5", "9ecce42647a20130c1f39a5d4cb75743"),
    ("efficientnetb7.h5", "8c03f828fec3ef71311cd463b6759d99"),
    ("efficientnetb7_notop.h5", "cbcfe4450ddf6f3ad90b1b398090fe4a"),
)

# torchvision's default weights. The older ones of B1 are left out.
_TORCHVISION = (
    ("efficientnet-b0", "efficientnet_b0_rwightman-7f5810bc.pth"),
    ("efficientnet-b1", "efficientnet_b1-c27df63c.pth"),
    ("efficientnet-b2", "efficientnet_b2_rwightman-c35c1473.pth"),
    ("efficientnet-b3", "efficientnet_b3_rwightman-b3899882.pth"),
    ("efficientnet-b4", "efficientnet_b4_rwightman-23ab8bcd.pth"),
    ("efficientnet-b5", "efficientnet_b5_lukemelas-1a07897c.pth"),
    ("efficientnet-b6", "efficientnet_b6_lukemelas-24a108a5.pth"),
    ("efficientnet-b7", "efficientnet_b7_lukemelas-c5b4e57e.pth"),
    ("efficientnetv2-s", "efficientnet_v2_s-dd5fe13b.pth"),
    ("efficientnetv2-m", "efficientnet_v2_m-dc08266a.pth"),
    ("efficientnetv2-l", "efficientnet_v2_l-59c71312.pth"),
)
# Only on the Hub. For L2, the weights for 800 pixels.
_TIMM = (
    ("efficientnetv2-rw-t", "imagenet", "efficientnetv2_rw_t.ra2_in1k"),
    ("efficientnetv2-rw-s", "imagenet", "efficientnetv2_rw_s.ra2_in1k"),
    ("efficientnetv2-rw-m", "imagenet", "efficientnetv2_rw_m.agc_in1k"),
    ("gc-efficientnetv2-rw-t", "imagenet", "gc_efficientnetv2_rw_t.agc_in1k"),
    ("efficientnet-b8", "imagenet", "tf_efficientnet_b8.ra_in1k"),
    ("efficientnet-l2", "noisy-student", "tf_efficientnet_l2.ns_jft_in1k"),
    *(
        (f"efficientnet-b{i}", "noisy-student", f"tf_efficientnet_b{i}.ns_jft_in1k")
        for i in range(8)
    ),
    *(
        (f"efficientnet-b{i}", "advprop", f"tf_efficientnet_b{i}.ap_in1k")
        for i in range(9)
    ),
)

V2_SIZES = ("b0", "b1", "b2", "b3", "s", "m", "l", "xl")
CHECKPOINTS_URL = "https://storage.googleapis.com/cloud-tpu-checkpoints/efficientnet/"

RELEASES = (
    *rows(
        "keras.applications",
        "https://storage.googleapis.com/tensorflow/keras-applications/efficientnet_v2/",
        _KERAS_V2,
    ),
    *rows(
        "keras.applications",
        "https://storage.googleapis.com/keras-applications/",
        _KERAS_V1,
    ),
    *rows(
        "google",
        CHECKPOINTS_URL + "v2/",
        [
            (f"efficientnetv2-{size}-{dataset}.tgz", None)
            for size in V2_SIZES
            for dataset in ("21k", "21k-ft1k")
        ],
    ),
    *rows(
        "google",
        CHECKPOINTS_URL + "lite/",
        [(f"efficientnet-lite{i}.tar.gz", None) for i in range(5)],
    ),
    *(
        Release(
            f"{name}-torchvision",
            "imagenet",
            "torchvision",
            f"https://download.pytorch.org/models/{file}",
            f"sha256:{file[-12:-4]}",
        )
        for name, file in _TORCHVISION
    ),
    *(
        Release(name, dataset, "timm", f"hf://timm/{repository}")
        for name, dataset, repository in _TIMM
    ),
)
