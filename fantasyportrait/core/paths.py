"""Folders and files of the program itself: its cache, the bundled example."""

import os
from pathlib import Path

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.files import user_cache_dir

CACHE_DIR_ENV = "FANTASYPORTRAIT_CACHE_DIR"


def default_cache_dir() -> Path:
    """The folder of cached tracks: $FANTASYPORTRAIT_CACHE_DIR, or one in the user's cache. It may not exist yet."""
    chosen = os.environ.get(CACHE_DIR_ENV)
    return Path(chosen).expanduser() if chosen else user_cache_dir()


def example_photo() -> Path:
    """The bundled picture of two people. Raises `MediaError` in an installed package, which lacks it."""
    path = Path(__file__).parents[2] / "assets" / "two_people.png"
    if not path.is_file():
        raise MediaError("the bundled example is not installed: give a photo of your own with --photo")
    return path
