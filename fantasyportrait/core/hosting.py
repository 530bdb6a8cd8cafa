"""Where the app runs: on a user's own machine, or on a Hugging Face Space, which says so in its environment."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fantasyportrait.core.paths import CACHE_DIR_ENV

SPACE_VARIABLE, ZERO_GPU_VARIABLE = "SPACE_ID", "SPACES_ZERO_GPU"
PERSISTENT_STORAGE = Path("/data")
"""Where a Space with persistent storage has it; all other folders are empty again after a restart."""


def on_space(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a Hugging Face Space."""
    return bool(environment.get(SPACE_VARIABLE))


def on_zero_gpu(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a ZeroGPU Space: it has a GPU only during the calls that the package `spaces` wraps."""
    return environment.get(ZERO_GPU_VARIABLE, "").lower() in ("1", "t", "true")


def space_defaults(
    environment: Mapping[str, str] = os.environ, storage: Path = PERSISTENT_STORAGE, home: Path | None = None
) -> dict[str, str]:
    """The variables of the app that are not set on a Space: its address and folders; none on another machine.

    Models, cache and results are in the persistent storage, or where that is missing in the home folder, or where that
    is read-only in the temporary folder.
    """
    if not on_space(environment):
        return {}
    candidates = (storage, home or Path.home(), Path(tempfile.gettempdir()))
    root = next((folder for folder in candidates if folder.is_dir() and os.access(folder, os.W_OK)), candidates[-1])
    root /= "fantasyportrait"
    wanted = {
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "FANTASYPORTRAIT_MODELS_DIR": str(root / "models"),
        CACHE_DIR_ENV: str(root / "cache"),
        "FANTASYPORTRAIT_RESULTS": str(root / "results"),
    }
    return {name: value for name, value in wanted.items() if not environment.get(name)}
