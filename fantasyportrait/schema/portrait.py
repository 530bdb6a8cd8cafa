"""The portrait of a request: a file, or a picture in memory."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fantasyportrait.core.errors import RequestError
from fantasyportrait.images.images import Photo
from fantasyportrait.images.memory_images import RULE, photo_in_memory
from fantasyportrait.schema.converters import StrPath, as_path, format_value

Portrait = Path | Photo
PortraitLike = StrPath | NDArray[np.uint8] | Image.Image | Photo
IN_MEMORY = "the picture in memory"


def as_portrait(value: object, name: str) -> Portrait:
    """A path from text or a path, a photo from a picture in memory; `RequestError` for anything else."""
    if isinstance(value, Photo):
        return value
    if isinstance(value, np.ndarray | Image.Image):
        return photo_in_memory(value, name)
    if hasattr(value, "shape"):
        raise RequestError(
            "{name} is {value}: {rule} as a numpy array", name=name, value=format_value(value), rule=RULE
        )
    return as_path(value, name)


def portrait_name(portrait: Portrait) -> str:
    """The portrait as named in a message: its path, or `IN_MEMORY`."""
    return str(portrait) if isinstance(portrait, Path) else IN_MEMORY
