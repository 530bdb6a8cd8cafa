"""A photo's orientation, read from its EXIF data or XMP in linear time.

Pillow's reader takes quadratic time for some EXIF data, and copies the data of every entry.
"""

import re
import struct
from typing import Any

from PIL import Image

_TAG = 0x0112
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
_RAW_PROFILE = "Raw profile type exif"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image) -> Image.Image:
    """Return the picture upright; the same object where nothing changes."""
    turn = _TURNS.get(orientation(image.info))
    return image if turn is None else image.transpose(turn)


def orientation(info: dict[Any, Any]) -> int:
    """Return the EXIF orientation, 1 to 8, from the metadata that Pillow found; 1 where there is none."""
    return _from_exif(_exif(info)) or _from_xmp(info) or 1


def _exif(info: dict[Any, Any]) -> bytes:
    exif = info.get("exif")
    if isinstance(exif, bytes):
        return exif
    lines = str(info.get(_RAW_PROFILE, "")).split("\n", 3)  # ImageMagick: an empty line, a name, a length, hexadecimal
    try:
        return bytes.fromhex(lines[3].replace("\n", "")) if len(lines) == 4 else b""
    except ValueError:
        return b""


def _from_exif(exif: bytes) -> int | None:
    """Return the tag of the first directory; None where there is none or the data is damaged."""
    begin = re.match(rb"(?:Exif\0\0)*", exif)
    body = memoryview(exif)[begin.end() if begin else 0 :]
    order = {b"II": "<", b"MM": ">"}.get(bytes(body[:2]))
    if order is None:
        return None
    try:
        (at,) = struct.unpack_from(order + "I", body, 4)
        (count,) = struct.unpack_from(order + "H", body, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", body, entry)
            if tag == _TAG:
                return int(value) if 1 <= value <= 8 else None
    except struct.error:
        return None
    return None


def _from_xmp(info: dict[Any, Any]) -> int | None:
    text = info.get("XML:com.adobe.xmp") or info.get("xmp") or b""
    found = _XMP.search(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    return int(found[1]) if found else None
