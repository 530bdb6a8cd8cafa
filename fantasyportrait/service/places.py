"""Where the program keeps what it computed."""

import os
import sys
from pathlib import Path

CACHE_DIR_VARIABLE = "FANTASYPORTRAIT_CACHE_DIR"


def cache_folder() -> Path:
    """The folder of cached tracks: $FANTASYPORTRAIT_CACHE_DIR, or one in the user's cache. It may not exist yet."""
    chosen = os.environ.get(CACHE_DIR_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "fantasyportrait"
