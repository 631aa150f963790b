"""Files of a repository, from the Hub or from a folder.

The Hub's own library fetches them: its cache, tokens and offline mode are those of
`HF_HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE`.
"""

import importlib.util
import os
import pathlib
from typing import Any

from keras_effnetv2 import version
from keras_effnetv2.errors import DownloadError, InputError, require_modules
from keras_effnetv2.weights.hub import addresses, configs

# The second is a pickle, which its own reader reads safely.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


class Repository:
    """An open repository; all of its files are of one revision.

    Args:
        name: `hf://USER/REPO[@REVISION]`, or a folder of the same files.

    Attributes:
        name: as given, for messages.
        config: contents of its `config.json`.

    Raises:
        ValueError: no such repository, revision or configuration, or a bad one.
        ConnectionError: the Hub cannot be reached, and the file is not in its cache.
        ImportError: huggingface_hub is not installed.
    """

    def __init__(self, name: str | os.PathLike) -> None:
        self.name = os.fspath(name)
        self._address = None
        if addresses.is_address(name):
            self._address = addresses.parse(self.name)
        path = self._find(addresses.CONFIG)
        if path is None:
            raise InputError(
                f"{self.name} has no {addresses.CONFIG}, which states what its "
                "weights are for. Expected a repository in timm's layout."
            )
        if self._address is not None:
            # The folder of a snapshot is named after its commit: after a later push,
            # the weights must still match the configuration.
            commit = path.parent.name
            self._address = addresses.Address(self._address.repository, commit)
        self.config = configs.read_config(path, self.name)

    def weights(self) -> pathlib.Path:
        """The local copy of its weights.

        Raises:
            ValueError: it has none that can be read.
            ConnectionError: they cannot be downloaded.
        """
        for file_name in _WEIGHTS:
            if path := self._find(file_name):
                return path
        raise InputError(
            f"{self.name} has no weights that can be read. Expected "
            f"{' or '.join(_WEIGHTS)}."
        )

    def _find(self, file_name: str) -> pathlib.Path | None:
        """The local copy of a file; None if the repository has no such file."""
        if self._address is not None:
            return fetch(self._address, file_name, self.name)
        path = pathlib.Path(self.name).expanduser() / file_name
        return path if path.is_file() else None


def is_available() -> bool:
    """Whether the Hub's library is installed."""
    return importlib.util.find_spec("huggingface_hub") is not None


def fetch(address: addresses.Address, file_name: str, name: str) -> pathlib.Path | None:
    """The copy of a file in the Hub's cache, downloaded if necessary.

    Args:
        address: address of the repository.
        file_name: name of the file in it.
        name: name of the repository, for messages.

    Returns:
        Its path; None if the repository has no such file.

    Raises:
        ValueError: no such repository or revision, or no access to it.
        ConnectionError: the Hub cannot be reached, and the file is not in its cache.
        ImportError: huggingface_hub is not installed.
    """
    require_modules("Weights from the Hugging Face Hub need", "hub", "huggingface_hub")
    import huggingface_hub
    from huggingface_hub import errors

    try:
        return pathlib.Path(
            huggingface_hub.hf_hub_download(
                address.repository,
                file_name,
                revision=address.revision,
                library_name="keras_effnetv2",
                library_version=version.__version__,
            )
        )
    except errors.LocalEntryNotFoundError as error:
        remembered = huggingface_hub.try_to_load_from_cache(
            address.repository, file_name, revision=address.revision
        )
        # Neither None nor a path: the cache knows that there is no such file.
        if remembered is not None and not isinstance(remembered, str):
            return None
        raise DownloadError(
            f"{file_name} of {name} is not in the Hub's cache and cannot be "
            f"downloaded: {reason(error.__cause__ or error)}. Check the connection, "
            "HF_HUB_OFFLINE and HF_ENDPOINT."
        ) from None
    except errors.EntryNotFoundError:
        return None
    except Exception as error:  # Also errors of its HTTP library.
        raise explained(error, name) from None


def explained(error: Exception, name: str) -> Exception:
    """Turns errors of the Hub's library into errors for users.

    Args:
        error: an error other than a missing file.
        name: name of the repository.
    """
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return InputError(
            f"{name} is open only to those who accepted its terms. Accept them on its "
            "page, and set HF_TOKEN or run `hf auth login`."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return InputError(
            f"There is no {name}, or it is private. Check the name; for a private one "
            "set HF_TOKEN or run `hf auth login`."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(f"{name}: there is no such revision. Check it on its page.")
    if isinstance(error, errors.HFValidationError):
        return InputError(f"{name} is not the name of a repository: {reason(error)}.")
    if getattr(getattr(error, "response", None), "status_code", 0) in (401, 403):
        return InputError(
            f"The Hugging Face Hub does not allow that on {name}: set HF_TOKEN to a "
            f"token that may, or run `hf auth login` ({reason(error)})."
        )
    return DownloadError(f"The Hugging Face Hub failed on {name}: {reason(error)}.")


def reason(error: Any) -> str:
    """The first line of an error, as the end of a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".:")
