"""The orientation reader agrees with Pillow's and is fast where Pillow's takes quadratic time."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image, ImageOps

from fantasyportrait.images.exif_orientation import orientation, upright
from tests.factories_media import quadrants


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("value", range(1, 9))
def test_it_agrees_with_pillow(kind: str, value: int) -> None:
    exif = Image.Exif()
    exif[0x010E] = "before it"
    exif[0x0112] = value
    buffer = io.BytesIO()
    Image.fromarray(quadrants()).save(buffer, kind, exif=exif)
    ours, theirs = upright(Image.open(buffer)), ImageOps.exif_transpose(Image.open(buffer))
    assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def tag(value: int, order: str = "<") -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IHHHIHH", 8, 1, 0x0112, 3, 1, value, 0) + bytes(4)


@pytest.mark.parametrize(
    ("info", "value"),
    [
        ({}, 1),
        ({"exif": tag(6)}, 6),
        ({"exif": b"Exif\0\0" + tag(8, ">")}, 8),
        ({"exif": b"Exif\0\0" * 200_000 + tag(3)}, 3),
        ({"exif": tag(9)}, 1),
        ({"exif": tag(6)[:15]}, 1),
        ({"Raw profile type exif": "\nexif\n      42\n" + tag(5).hex() + "\n"}, 5),
        ({"Raw profile type exif": "\nexif\n      42\nzz"}, 1),
        ({"xmp": b'<x tiff:Orientation="7"/>'}, 7),
        ({"XML:com.adobe.xmp": "<tiff:Orientation>4</tiff:Orientation>"}, 4),
        ({"exif": tag(2), "xmp": b'tiff:Orientation="7"'}, 2),
    ],
)
def test_where_it_is_found(info: dict[str, Any], value: int) -> None:
    assert orientation(info) == value


@given(st.binary(max_size=200), st.sampled_from([b"", b"II*\0", b"MM\0*", b"Exif\0\0II*\0"]))
def test_no_bytes_break_it(data: bytes, head: bytes) -> None:
    assert 1 <= orientation({"exif": head + data}) <= 8
