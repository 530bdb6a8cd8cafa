"""Text metadata of videos and PNG pictures."""

from pathlib import Path

from PIL import Image

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PRIVATE, Limits
from fantasyportrait.images.input_file import open_file
from fantasyportrait.media.containers import open_media

MAX_TEXT = 1 << 18
"""Characters of a text that is read; a longer one is left out."""


def read_metadata(path: Path, limits: Limits = PRIVATE) -> dict[str, str]:
    """Return the text metadata of a video or a PNG picture by lower-case key. Raises `MediaError`."""
    if path.suffix.lower() == ".png":
        found = _png_texts(path)
    else:
        with open_media(path, limits) as container:
            found = {key.lower(): value for key, value in container.metadata.items()}
    return {key: text for key, text in found.items() if len(text) <= MAX_TEXT}


def _png_texts(path: Path) -> dict[str, str]:
    """Read the texts before the pixel data, which is not decoded."""
    try:
        with open_file(path) as file, Image.open(file, formats=["PNG"]) as image:
            return {str(key).lower(): value for key, value in image.info.items() if isinstance(value, str)}
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(
            "{path} is not a PNG picture that can be read ({error}): check the path", path=path, error=error
        ) from error
