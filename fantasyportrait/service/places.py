"""Where the program keeps what it computed."""

import os
from pathlib import Path

from fantasyportrait.core.files import user_cache

CACHE_DIR_VARIABLE = "FANTASYPORTRAIT_CACHE_DIR"


def cache_folder() -> Path:
    """The folder of cached tracks: $FANTASYPORTRAIT_CACHE_DIR, or one in the user's cache. It may not exist yet."""
    chosen = os.environ.get(CACHE_DIR_VARIABLE)
    return Path(chosen).expanduser() if chosen else user_cache()
