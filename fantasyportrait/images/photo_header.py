"""Checks of a photo's structure before decoding: too many passes, pieces or bytes of metadata.

Each check reads lengths and skips the data, so that it costs far less than decoding. An invalid header is left to the
decoder, which refuses it.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import Limits

# Pieces of a file that Pillow walks one by one in Python: real photos have hundreds of PNG chunks, or tens of segments.
MAX_CHUNKS = 50_000
_JPEG_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_ALONE = {0x01, 0xD8}
_END, _SCAN, _EXIF_SEGMENT, _COMMENT = 0xD9, 0xDA, 0xE1, 0xFE
_GIF_COMMENT, _GIF_PICTURE, _GIF_EXTENSION = 0xFE, 0x2C, 0x21


def check_header(path: Path, data: bytes, limits: Limits) -> None:
    """Refuse a JPEG, PNG, GIF, WebP, AVIF or HEIC by its structure; raises MediaError with the rule and the value."""
    try:
        if data.startswith(b"\xff\xd8"):
            _check_jpeg(path, data, limits)
        elif data.startswith(b"\x89PNG\r\n\x1a\n"):
            _check_sizes(path, ((kind == b"eXIf", size) for kind, _, size in png_chunks(data)), limits)
        elif data.startswith(b"RIFF"):
            _check_sizes(path, ((kind == b"EXIF", size) for kind, _, size in riff_chunks(data)), limits)
        elif data.startswith(b"GIF8"):
            _check_sizes(path, _gif_blocks(data), limits)
        elif data[4:8] == b"ftyp":
            _check_sizes(path, ((True, size) for size in _exif_items(data)), limits)
    except (struct.error, IndexError):  # cut off in the middle of a length
        return


def is_animated_gif(data: bytes) -> bool:
    """Whether a GIF holds a second picture, seen without decoding the first."""
    try:
        return sum(1 for kind, _ in _gif_chunks(data) if kind == _GIF_PICTURE) > 1
    except (struct.error, IndexError):
        return False


def _check_jpeg(path: Path, data: bytes, limits: Limits) -> None:
    scans, exif = 0, 0
    for number, (marker, begin, size) in enumerate(_jpeg_segments(data)):
        _check_chunks(path, number)
        scans += marker == _SCAN
        exif += size if marker == _EXIF_SEGMENT and data[begin : begin + 4] == b"Exif" else 0
        if scans > limits.jpeg_scans:
            raise MediaError(
                "{path} is a progressive JPEG of more than {jpeg_scans} scans, too many to be read safely: "
                "save it again as an ordinary JPEG",
                path=path,
                jpeg_scans=limits.jpeg_scans,
            )
    _check_exif(path, exif, limits)


def _check_sizes(path: Path, pieces: Iterator[tuple[bool, int]], limits: Limits) -> None:
    """Bound the number of pieces, and the bytes of those that hold EXIF data (first item True)."""
    exif = 0
    for number, (is_exif, size) in enumerate(pieces):
        _check_chunks(path, number)
        exif += size if is_exif else 0
        _check_exif(path, exif, limits)


def _check_chunks(path: Path, number: int) -> None:
    if number >= MAX_CHUNKS:
        raise MediaError(
            "{path} is cut into more than {max_chunks} pieces, too many to be read safely: save it again",
            path=path,
            max_chunks=MAX_CHUNKS,
        )


def _check_exif(path: Path, size: int, limits: Limits) -> None:
    if size > limits.exif_bytes:
        raise MediaError(
            "{path} carries {size:.0f} KiB of metadata (EXIF or comments) and at most "
            "{exif_bytes:.0f} KiB are read: save it again without metadata",
            path=path,
            size=size / 1024,
            exif_bytes=limits.exif_bytes / 1024,
        )


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, first byte, length) of every segment up to the end marker, as libjpeg finds them."""
    at = 0
    while (found := _JPEG_MARKER.search(data, at)) is not None:
        marker, begin = found[1][0], found.end()
        if marker == _END:
            return
        size = 0 if marker in _ALONE else struct.unpack_from(">H", data, begin)[0]
        yield marker, begin + 2, size
        at = begin + max(size, 0 if marker in _ALONE else 2)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, first byte, length) of the chunks of a PNG; struct.error where the last one is cut off."""
    at = 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at + 8, min(size, len(data) - at)
        at += 12 + size


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, first byte, length) of the chunks of a WebP; struct.error where the last one is cut off."""
    at = 12
    while at < len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        yield kind, at + 8, min(size, len(data) - at)
        at += 8 + size + size % 2


def _gif_blocks(data: bytes) -> Iterator[tuple[bool, int]]:
    """(whether it is a comment, its bytes) of the extensions before the second picture: Pillow reads no further."""
    pictures = 0
    for kind, size in _gif_chunks(data):
        pictures += kind == _GIF_PICTURE
        if pictures > 1:
            return
        yield kind == _GIF_COMMENT, size


def _gif_chunks(data: bytes) -> Iterator[tuple[int, int]]:
    """(label of an extension, or the picture's mark; bytes in its sub-blocks), to the second picture's mark."""
    at = 13 + _table(data[10])
    pictures = 0
    while at < len(data):
        mark = data[at]
        if mark == _GIF_PICTURE:
            pictures += 1
            if pictures > 1:
                yield mark, 0
                return
            at += 11 + _table(data[at + 9])
        elif mark == _GIF_EXTENSION:
            mark = data[at + 1]
            at += 2
        else:  # the trailer, or junk that Pillow skips byte by byte
            return
        begin = at
        while size := data[at]:
            at += 1 + size
        yield mark, at - begin
        at += 1


def _table(flags: int) -> int:
    """Bytes of a GIF's colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _exif_items(data: bytes) -> Iterator[int]:
    """Bytes of each EXIF item of an AVIF or HEIC, from the tables of its meta box (ISO/IEC 14496-12, 8.11)."""
    meta = next((body for kind, body in iso_boxes(data) if kind == b"meta"), b"")
    tables = dict(iso_boxes(meta[4:]))
    wanted = set(_item_ids(tables.get(b"iinf", b""), b"Exif"))
    yield from (size for item, size in _item_sizes(tables.get(b"iloc", b"")) if item in wanted)


def iso_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of the boxes that `data` is made of."""
    at, count = 0, 0
    while at + 8 <= len(data) and count < MAX_CHUNKS:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        end = len(data) if size == 0 else at + max(size, head)
        yield kind, data[at + head : end]
        at, count = end, count + 1


def _item_ids(table: bytes, kind: bytes) -> Iterator[int]:
    """The numbers of the items of a kind that an item information box lists."""
    wide = table[:1] != b"\0"
    for name, entry in iso_boxes(table[8 if wide else 6 :]):
        if name == b"infe" and entry[0] >= 2:
            item, protection = struct.unpack_from(">HH" if entry[0] == 2 else ">IH", entry, 4)
            begin = 8 if entry[0] == 2 else 10
            if entry[begin : begin + 4] == kind and not protection:
                yield item


def _item_sizes(table: bytes) -> Iterator[tuple[int, int]]:
    """(item, bytes) of the items that an item location box lists."""
    if not table:
        return
    version = table[0]
    sizes = [table[4] >> 4, table[4] & 15, table[5] >> 4, table[5] & 15 if version else 0]
    offset_size, length_size, base_size, index_size = sizes
    wide = 4 if version == 2 else 2
    count, at = _number(table, 6, wide), 6 + wide
    for _ in range(min(count, MAX_CHUNKS)):
        item = _number(table, at, wide)
        at += wide + (2 if version else 0) + 2 + base_size
        extents, at = _number(table, at, 2), at + 2
        total = 0
        for _ in range(extents):
            at += index_size + offset_size
            total += _number(table, at, length_size)
            at += length_size
        yield item, total


def _number(data: bytes, at: int, size: int) -> int:
    """A big-endian number of so many bytes; IndexError beyond the end."""
    if at + size > len(data):
        raise IndexError(at)
    return int.from_bytes(data[at : at + size], "big")
