"""Checks for common mistakes: an address, a folder or a saved request instead of a file, a video as a photo."""

import os
import re
from contextlib import suppress
from pathlib import Path

from fantasyportrait.core.errors import MediaError
from fantasyportrait.images.input_file import DescriptorPath, open_file

_HEAD_BYTES = 4096
# A Path keeps one slash of two. Schemes have two letters or more: C:/ is a drive.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.IGNORECASE | re.DOTALL)
_BARE_ADDRESS = re.compile(r"(www\.|(m\.)?youtube\.com/|youtu\.be/|vimeo\.com/).+", re.IGNORECASE | re.DOTALL)
IMAGE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1")
"""Brands of ISO base media files (bytes 8 to 12) that are pictures."""


def check_file(path: Path, what: str) -> None:
    """Raise MediaError where `path`, given as `what` ("photo", "clip", "sound"), is an address, a folder or a request.

    The reader refuses a missing file and other content. A file that another process opened was checked there.
    """
    if isinstance(path, DescriptorPath):
        return
    if os.path.isdir(path):
        raise MediaError("{path} is a folder: give the path of one file as the {what}", path=path, what=what)
    if address := _address_of(path):
        raise MediaError(
            "{address} is an address, and nothing is downloaded: save it, and give the path of a file on this machine "
            "as the {what}",
            address=address,
            what=what,
        )
    if _is_request(first_bytes(path)):
        raise MediaError(
            "{path} is a saved request, no {what}: run it with  fantasyportrait animate --request {path}",
            path=path,
            what=what,
        )


def is_video_file(path: Path) -> bool:
    """Whether the file begins like a common video container."""
    head = first_bytes(path)
    return (
        (head[4:8] == b"ftyp" and head[8:12] not in IMAGE_BRANDS)
        or head.startswith((b"\x1aE\xdf\xa3", b"FLV\x01", b"\0\0\x01\xba", b"OggS"))
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or (head[:1] == b"G" and head[188:189] == b"G" and head[376:377] == b"G")
    )


def _address_of(path: Path) -> str | None:
    """Return the URL as it was typed, if it is one and no file of that name exists."""
    text = path.as_posix()
    found = _ADDRESS.fullmatch(text)
    if (not found and not _BARE_ADDRESS.fullmatch(text)) or os.path.exists(path):
        return None
    return f"{found[1]}://{found[2]}" if found else text


def first_bytes(path: Path) -> bytes:
    """The first 4 kB of a regular file; nothing where it cannot be read."""
    with suppress(MediaError, OSError), open_file(path) as file:
        return file.read(_HEAD_BYTES)
    return b""


def _is_request(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and b'"schema"' in head and b'"portrait"' in head
