"""JPEGs over the pixel limit: a phone's 48 to 200 megapixels are decoded at a reduced size."""

import io
from typing import NamedTuple

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from fantasyportrait.core.limits import Limits
from fantasyportrait.core.sentences import Sentence

Size = tuple[int, int]

# Scale factors of width and height that a JPEG's inverse transform supports.
_PARTS = (2, 4, 8)


class OpenedImage(NamedTuple):
    """A picture before decoding: `image.size` is the size to decode, `full` that of the file."""

    image: Image.Image
    full: Size


def open_image(data: bytes, formats: list[str], limits: Limits) -> OpenedImage:
    """Open a file's bytes; a JPEG over the limits at 1/2, 1/4 or 1/8 of its size if that is within them.

    Raises what Pillow raises. A picture that is still over the limits is returned too: it must not be decoded.
    """
    if not data.startswith(b"\xff\xd8") or "JPEG" not in formats:
        image = Image.open(io.BytesIO(data), formats=formats)
        return OpenedImage(image, image.size)
    # Not by `Image.open`, which refuses 180 megapixels by the header, however small the decoded size.
    jpeg = JpegImageFile(io.BytesIO(data))
    full = jpeg.size
    part = _part(full, limits)
    if part > 1:
        jpeg.draft(None, (max(1, full[0] // part), max(1, full[1] // part)))
    return OpenedImage(jpeg, full)


def coefficient_bytes(opened: OpenedImage) -> int:
    """Return the bytes of a progressive JPEG's coefficients, which have its full size; 0 for other pictures."""
    if not isinstance(opened.image, JpegImageFile) or "progressive" not in opened.image.info:
        return 0
    layers = [(across, down) for _, across, down, _ in opened.image.layer]
    most = max(across for across, _ in layers) * max(down for _, down in layers)
    return 2 * opened.full[0] * opened.full[1] * sum(across * down for across, down in layers) // most


def reduced_message(name: str, opened: OpenedImage, limits: Limits) -> list[str]:
    """Return a message where the picture is read at a reduced size."""
    (width, height), (across, down) = opened.image.size, opened.full
    if (width, height) == (across, down):
        return []
    return [
        Sentence(
            "{name} ({across} x {down}) was read at {width} x {height}: at most {pixels:.0f} million pixels "
            "and {longest_side} on a side are decoded",
            name=name,
            across=across,
            down=down,
            width=width,
            height=height,
            pixels=limits.pixels / 1e6,
            longest_side=limits.longest_side,
        )
    ]


def _part(size: Size, limits: Limits) -> int:
    """Return the scale denominator that brings the picture within the limits; 1 where none is needed or enough."""
    for part in (1, *_PARTS):
        width, height = -(-size[0] // part), -(-size[1] // part)
        if width * height <= limits.pixels and max(width, height) <= limits.longest_side:
            return part
    return 1
