"""Texts that a video or a PNG picture carries beside its pictures."""

from pathlib import Path

from PIL import Image

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.files import open_regular
from fantasyportrait.media.containers import open_media


def read_metadata(path: Path) -> dict[str, str]:
    """The texts of a video or of a PNG picture, by their keys in small letters. Raises `MediaError`."""
    if path.suffix.lower() == ".png":
        return _png_texts(path)
    with open_media(path) as container:
        return {key.lower(): value for key, value in container.metadata.items()}


def _png_texts(path: Path) -> dict[str, str]:
    """Those in front of the picture, which is not decoded."""
    try:
        with open_regular(path) as file, Image.open(file, formats=["PNG"]) as image:
            return {str(key).lower(): value for key, value in image.info.items() if isinstance(value, str)}
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path} is not a PNG picture that can be read ({error}): check the path") from error
