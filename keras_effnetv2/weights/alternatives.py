"""Other public files of the released networks, in the layouts of other packages.

`weights="imagenet"` never chooses these; pass their path or URL instead. They are
listed so that their URLs are verified by hash, and the online tests can try each.

Sources: leondgarse/keras_efficientnet_v2 (`FILE_HASH_DICT`) and
sebastian-sz/efficientnet-v2-keras (`WEIGHT_HASHES`), the official values converted to
two other layouts; tensorflow/tpu, `models/official/efficientnet` (V1, AutoAugment) and
google/automl, `efficientnetv2` (ImageNet-1k checkpoints), without published hashes.
"""

from keras_effnetv2.weights import releases

# File, MD5.
_LEONDGARSE = (
    ("efficientnetv2-b0-21k-ft1k.h5", "4e4da4eb629897e4d6271e131039fe75"),
    ("efficientnetv2-b0-21k.h5", "5dbb4252df24b931e74cdd94d150f25a"),
    ("efficientnetv2-b0-imagenet.h5", "9abdc43cb00f4cb06a8bdae881f412d6"),
    ("efficientnetv2-b1-21k-ft1k.h5", "5f1aee82209f4f0f20bd24460270564e"),
    ("efficientnetv2-b1-21k.h5", "a50ae65b50ceff7f5283be2f4506d2c2"),
    ("efficientnetv2-b1-imagenet.h5", "5d4223b59ff268828d5112a1630e234e"),
    ("efficientnetv2-b2-21k-ft1k.h5", "ec384b84441ddf6419938d1e5a0cbef2"),
    ("efficientnetv2-b2-21k.h5", "9f718a8bbb7b63c5313916c5e504790d"),
    ("efficientnetv2-b2-imagenet.h5", "1814bc08d4bb7a5e0ed3ccfe1cf18650"),
    ("efficientnetv2-b3-21k-ft1k.h5", "4a27827b0b2df508bed31ae231003bb1"),
    ("efficientnetv2-b3-21k.h5", "ade5bdbbdf1d54c4561aa41511525855"),
    ("efficientnetv2-b3-imagenet.h5", "cda85b8494c7ec5a68dffb335a254bab"),
    ("efficientnetv2-l-21k-ft1k.h5", "30327edcf1390d10e9a0de42a2d731e3"),
    ("efficientnetv2-l-21k.h5", "7970f913eec1b4918e007c8580726412"),
    ("efficientnetv2-l-imagenet.h5", "2b65f5789f4d2f1bf66ecd6d9c5c2d46"),
    ("efficientnetv2-m-21k-ft1k.h5", "0c236c3020e3857de1e5f2939abd0cc6"),
    ("efficientnetv2-m-21k.h5", "3923c286366b2a5137f39d1e5b14e202"),
    ("efficientnetv2-m-imagenet.h5", "ac3fd0ff91b35d18d1df8f1895efe1d5"),
    ("efficientnetv2-s-21k-ft1k.h5", "93046a0d601da46bfce9d4ca14224c83"),
    ("efficientnetv2-s-21k.h5", "10b05d878b64f796ab984a5316a4a1c3"),
    ("efficientnetv2-s-imagenet.h5", "3b91df2c50c7a56071cca428d53b8c0d"),
    ("efficientnetv2-xl-21k-ft1k.h5", "9aaa2bd3c9495b23357bc6593eee5bce"),
    ("efficientnetv2-xl-21k.h5", "c97de2770f55701f788644336181e8ee"),
    ("efficientnetv1-b0-imagenet.h5", "cc7d08887de9df8082da44ce40761986"),
    ("efficientnetv1-b1-imagenet.h5", "a967f7be55a0125c898d650502c0cfd0"),
    ("efficientnetv1-b2-imagenet.h5", "6c8d1d3699275c7d1867d08e219e00a7"),
    ("efficientnetv1-b3-imagenet.h5", "d78edb3dc7007721eda781c04bd4af62"),
    ("efficientnetv1-b4-imagenet.h5", "4c83aa5c86d58746a56675565d4f2051"),
    ("efficientnetv1-b5-imagenet.h5", "0bda50943b8e8d0fadcbad82c17c40f5"),
    ("efficientnetv1-b6-imagenet.h5", "da13735af8209f675d7d7d03a54bfa27"),
    ("efficientnetv1-b7-imagenet.h5", "d9c22b5b030d1e4f4c3a96dbf5f21ce6"),
)
_SEBASTIAN_SZ = (
    ("efficientnetv2-b0.h5", "040bd13d0e1120f3d3ff64dcb1b311da"),
    ("efficientnetv2-b0_notop.h5", "0ee6a45fb049baaaf5dd710e50828382"),
    ("efficientnetv2-b1.h5", "2e640a47676a72aab97fbcd5cdc5aee5"),
    ("efficientnetv2-b1_notop.h5", "650f09a0e2d4282201b5187ac2709721"),
    ("efficientnetv2-b2.h5", "ff25e799dd33de560322a2f0bfba1b53"),
    ("efficientnetv2-b2_notop.h5", "4236cc709ddb4616c81c877b3f92457f"),
    ("efficientnetv2-b3.h5", "7a9f26b46c88c64a428ca998fa31e9d4"),
    ("efficientnetv2-b3_notop.h5", "cb807fb01931c554fd00ae79d5b9cf4d"),
    ("efficientnetv2-m.h5", "4766229c2bd41aa09c7271e3c3a5403d"),
    ("efficientnetv2-m_notop.h5", "4bb03763f7be9b3829a3e640c358de17"),
    ("efficientnetv2-s.h5", "6cb2135fe05dbd9ced79348b8b76f05f"),
    ("efficientnetv2-s_notop.h5", "551df41bf4f0951006926610e93c17c1"),
    ("efficientnetv2-l.h5", "25db7bfb451abc977bcc4140c91c4e9e"),
    ("efficientnetv2-l_notop.h5", "451021c40955e974b7627b9e588211a1"),
    ("efficientnetv2-b0-21k.h5", "8635973271bb9a88eaee549ff54aedfe"),
    ("efficientnetv2-b0-21k_notop.h5", "3f28d90919518ef426073dbcb17e3021"),
    ("efficientnetv2-b1-21k.h5", "769d9b75be3438f1b6097235bde22028"),
    ("efficientnetv2-b1-21k_notop.h5", "611cfd8977562c93bc4959992ad9bd48"),
    ("efficientnetv2-b2-21k.h5", "d9398206a6d2859d3bf45f6f524caa08"),
    ("efficientnetv2-b2-21k_notop.h5", "7467240653f73dd438e87af589a859ad"),
    ("efficientnetv2-b3-21k.h5", "a162c5a30af3244445f6a633ae29f82c"),
    ("efficientnetv2-b3-21k_notop.h5", "d2629d05829af1450432e2f114ce2917"),
    ("efficientnetv2-s-21k.h5", "6629e2eb68b6ebc922e009f6f800ad51"),
    ("efficientnetv2-s-21k_notop.h5", "c8ddbae1744f089f630f2bdbad5fe2fa"),
    ("efficientnetv2-m-21k.h5", "996706525ce91d0113b2653099c64ec9"),
    ("efficientnetv2-m-21k_notop.h5", "7691b54d75412ca020aacfcb2a5837c6"),
    ("efficientnetv2-l-21k.h5", "43ae5d74761ce151bbc0fb552184e378"),
    ("efficientnetv2-l-21k_notop.h5", "7ce647fe4de717b57a5fd6f2b3c82843"),
    ("efficientnetv2-xl-21k.h5", "3b9760ecac79f6d0b0fe9648f14a2fed"),
    ("efficientnetv2-xl-21k_notop.h5", "456d3fdcfc95bb460fcad7f0d8095773"),
    ("efficientnetv2-b0-21k-ft1k.h5", "bc8fe2c555e5a1229c378d0e84aa2703"),
    ("efficientnetv2-b0-21k-ft1k_notop.h5", "9963bc6b7aa74eac7036ab414dff9733"),
    ("efficientnetv2-b1-21k-ft1k.h5", "872bddc747d40c6238c964fe73a3a1e6"),
    ("efficientnetv2-b1-21k-ft1k_notop.h5", "f600737b414724d659c2bb7b5465aa22"),
    ("efficientnetv2-b2-21k-ft1k.h5", "08fd7f48575c7a3a852c026f300e6a3f"),
    ("efficientnetv2-b2-21k-ft1k_notop.h5", "78c435611d5aa909e725f40a7a1119bf"),
    ("efficientnetv2-b3-21k-ft1k.h5", "c1a195289bb3574caac5f2c94cd7f011"),
    ("efficientnetv2-b3-21k-ft1k_notop.h5", "99f66b5aa597a8834ba74f0b5d8a81d7"),
    ("efficientnetv2-s-21k-ft1k.h5", "62a850f1b111c4872277c18d64b928d4"),
    ("efficientnetv2-s-21k-ft1k_notop.h5", "85d8dcc7a63523abea94469b833be01e"),
    ("efficientnetv2-m-21k-ft1k.h5", "8f6f7ca84d948da4b93f4b9053c19413"),
    ("efficientnetv2-m-21k-ft1k_notop.h5", "f670a1cb04aeed321c554c21f219f895"),
    ("efficientnetv2-l-21k-ft1k.h5", "78e5ffa224184f1481252a115a5f003d"),
    ("efficientnetv2-l-21k-ft1k_notop.h5", "5a4795a11ae52a7d8626c9e20ba275a5"),
    ("efficientnetv2-xl-21k-ft1k.h5", "f48b9f1c12effdf9d70a33d81eb9f5ca"),
    ("efficientnetv2-xl-21k-ft1k_notop.h5", "a0cbe206c87e8fafe7434451e5ac79a9"),
)

_LEONDGARSE_URL = (
    "https://github.com/leondgarse/keras_efficientnet_v2/releases/download/"
)
_SEBASTIAN_SZ_URL = (
    "https://github.com/sebastian-sz/efficientnet-v2-keras/releases/download/v2.0/"
)

ALTERNATIVES = (
    *releases.rows(
        "google",
        releases.CHECKPOINTS_URL + "v2/",
        [(f"efficientnetv2-{size}.tgz", None) for size in releases.V2_SIZES[:-1]],
    ),
    *releases.rows(
        "google",
        releases.CHECKPOINTS_URL + "ckptsaug/",
        [(f"efficientnet-b{i}.tar.gz", None) for i in range(8)],
    ),
    *releases.rows(
        "leondgarse",
        _LEONDGARSE_URL + "effnetv2_pretrained/",
        [row for row in _LEONDGARSE if row[0].startswith("efficientnetv2")],
    ),
    *releases.rows(
        "leondgarse",
        _LEONDGARSE_URL + "effnetv1_pretrained/",
        [row for row in _LEONDGARSE if row[0].startswith("efficientnetv1")],
    ),
    *releases.rows(
        "sebastian-sz",
        _SEBASTIAN_SZ_URL,
        _SEBASTIAN_SZ,
    ),
)


def from_url(url: str) -> releases.Release | None:
    """The known public file at `url`; None for any other URL."""
    known = releases.RELEASES + ALTERNATIVES
    return next((row for row in known if row.url == url), None)
