"""Text metadata of videos and PNG pictures."""

from pathlib import Path

from PIL import Image

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.files import open_regular
from fantasyportrait.media.containers import open_media


def read_metadata(path: Path) -> dict[str, str]:
    """Return the text metadata of a video or a PNG picture by lower-case key. Raises `MediaError`."""
    if path.suffix.lower() == ".png":
        return _png_texts(path)
    with open_media(path) as container:
        return {key.lower(): value for key, value in container.metadata.items()}


def _png_texts(path: Path) -> dict[str, str]:
    """Read the texts before the pixel data, which is not decoded."""
    try:
        with open_regular(path) as file, Image.open(file, formats=["PNG"]) as image:
            return {str(key).lower(): value for key, value in image.info.items() if isinstance(value, str)}
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path} is not a PNG picture that can be read ({error}): check the path") from error
