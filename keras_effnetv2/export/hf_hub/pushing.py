"""Pushes models to the Hugging Face Hub."""

import pathlib
import tempfile

import keras

from keras_effnetv2 import version
from keras_effnetv2.errors import require_modules
from keras_effnetv2.export.hf_hub.repository_files import CARD, hugging_face
from keras_effnetv2.weights.hub import addresses
from keras_effnetv2.weights.hub.repositories import explained


def push_to_hub(
    model: keras.Model,
    repository: str,
    *,
    private: bool = False,
    message: str = "Add model",
) -> str:
    """Pushes a model to the Hugging Face Hub, for `create_model("hf://...")` and timm.

    The files are those of `export.hugging_face`. An existing model card is kept.

    Args:
        model: from `create_model`, with a variant that timm has, with or without top.
        repository: `USER/REPO`, optionally with `@BRANCH`; created if need be.
        private: whether a new repository is private.
        message: commit message.

    Returns:
        The address of the commit.

    Raises:
        ValueError: timm has no such network, or the Hub refuses the repository.
        ConnectionError: the Hub cannot be reached.
        ImportError: huggingface_hub is not installed.
    """
    require_modules("push_to_hub needs", "hub", "huggingface_hub")
    import huggingface_hub

    address = addresses.parse(
        addresses.PREFIX + repository.removeprefix(addresses.PREFIX)
    )
    api = huggingface_hub.HfApi(
        library_name="keras_effnetv2", library_version=version.__version__
    )
    name, branch = address.repository, address.revision
    with tempfile.TemporaryDirectory() as folder:
        files = hugging_face(model, pathlib.Path(folder, "files"), name)
        try:
            api.create_repo(name, private=private, exist_ok=True)
            if branch is not None:
                api.create_branch(name, branch=branch, exist_ok=True)
            has_card = api.file_exists(name, CARD, revision=branch)
            commit = api.upload_folder(
                repo_id=name,
                folder_path=files,
                revision=branch,
                commit_message=message,
                ignore_patterns=[CARD] if has_card else None,
            )
        except Exception as error:  # Also errors of its HTTP library.
            raise explained(error, str(address)) from error
    return commit.commit_url
