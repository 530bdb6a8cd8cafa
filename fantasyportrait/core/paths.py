"""Folders and files of the program itself: its cache, the bundled examples."""

import os
from dataclasses import dataclass
from pathlib import Path

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.files import user_cache_dir

CACHE_DIR_ENV = "FANTASYPORTRAIT_CACHE_DIR"

_ASSETS = Path(__file__).parents[2] / "assets"
_EXAMPLES = (
    ("two_people", "Two portraits", "two_people.png", ("talk", "laugh")),
    ("three_friends", "Three friends at sunset", "three_friends.jpg", ("laugh", "talk", "smile")),
    (
        "five_neighbours",
        "Five neighbours in a garden",
        "five_neighbours.jpg",
        ("nod", "talk", "smile", "laugh", "wink"),
    ),
)


@dataclass(frozen=True)
class ExamplePhoto:
    """One bundled picture.

    Attributes:
        name: the identifier of the picture.
        title: a few words for people.
        path: the picture.
        motions: a built-in motion for each face, in the order of the faces' numbers.
    """

    name: str
    title: str
    path: Path
    motions: tuple[str, ...]


def default_cache_dir() -> Path:
    """The folder of cached tracks: $FANTASYPORTRAIT_CACHE_DIR, or one in the user's cache. It may not exist yet."""
    chosen = os.environ.get(CACHE_DIR_ENV)
    return Path(chosen).expanduser() if chosen else user_cache_dir()


def example_photos() -> tuple[ExamplePhoto, ...]:
    """The bundled pictures, two people first. Raises `MediaError` in an installed package, which lacks them."""
    photos = tuple(ExamplePhoto(name, title, _ASSETS / file, motions) for name, title, file, motions in _EXAMPLES)
    if not all(photo.path.is_file() for photo in photos):
        raise MediaError("the bundled examples are not installed: give a photo of your own with --photo")
    return photos


def example_photo() -> Path:
    """The bundled picture of two people. Raises `MediaError` in an installed package, which lacks it."""
    return example_photos()[0].path
