"""Access to the Hugging Face Hub: the listing of a repository, one file, and errors in one sentence."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from fantasyportrait.core.errors import OutputError, WeightsError, first_line
from fantasyportrait.core.optional import require

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

TOKEN_VARIABLE = "HF_TOKEN"
LISTING_TIMEOUT_S = 30.0

_REFUSALS = (401, 403, 404)


def is_offline() -> bool:
    """Whether the user has disabled the hub (HF_HUB_OFFLINE=1)."""
    return bool(_library(".constants").HF_HUB_OFFLINE)


def read_repo_info(repo: str, revision: str) -> "ModelInfo":
    """The repository at `revision`: its commit in `sha`, and in `siblings` the size and the digest of each file.

    The digest is `lfs.sha256` for a large file, `blob_id` (git's) for a small one. Raises `WeightsError`.
    """
    # The library's dry run sends a request for each file, returns no digests, and makes folders.
    api = _library().HfApi()
    with _translated_errors(f"the list of files of {repo} at {revision}"):
        info: ModelInfo = api.model_info(
            repo, revision=revision, files_metadata=True, timeout=LISTING_TIMEOUT_S, token=_token()
        )
    return info


def download_file(repo: str, commit: str, path: str, folder: Path) -> Path:
    """Fetch one file of a repository into `folder`, at its path in the repository.

    A file that is there as at that commit is kept, and a connection that breaks is taken up where it stopped: both are
    the library's work.

    Raises `WeightsError`, or `OutputError` where the disk is full or the folder is not writable.
    """
    library = _library()
    with _translated_errors(f"{path} of {repo}"):
        return Path(library.hf_hub_download(repo, path, revision=commit, local_dir=str(folder), token=_token()))


def _library(module: str = "") -> ModuleType:
    return require(f"huggingface_hub{module}", extra="wan", purpose="fetching the diffusion engine's weights")


def _token() -> str | bool:
    """Return the token of the environment, or False, so that the library does not look for one on the disk."""
    return os.environ.get(TOKEN_VARIABLE) or False


@contextmanager
def _translated_errors(what: str) -> Iterator[None]:
    """Turn errors of the network, the hub and the disk into an error of this package."""
    errors = _library(".errors")
    # The first base of the hub's own error is the root of its transport library, which differs between versions.
    network: tuple[type[BaseException], ...] = (OSError, *errors.HfHubHTTPError.__bases__, ValueError)
    try:
        yield
    except network as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise OutputError(
                "{what} cannot be written ({strerror}): free some space, or choose --models-dir",
                what=what,
                strerror=error.strerror,
            ) from error
        if getattr(getattr(error, "response", None), "status_code", None) in _REFUSALS:
            raise WeightsError(
                "{what} cannot be fetched: the hub has it no longer, or not for you; if its page asks for an "
                "agreement, accept it there and set {token_variable}",
                what=what,
                token_variable=TOKEN_VARIABLE,
            ) from error
        raise WeightsError(
            "{what} cannot be fetched ({reason}): finished files are kept; run the command again when the "
            "network is there",
            what=what,
            reason=first_line(error),
        ) from error
