"""Pictures of a browser's camera: what is read, and what is refused before it takes time or memory."""

import io

import numpy as np
import pytest
from PIL import Image

from fantasyportrait.core.errors import MediaError
from fantasyportrait.images.camera_frames import MAX_BYTES, decode_camera_frame, encode_jpeg


def _encoded(size: tuple[int, int], kind: str, mode: str = "RGB", **options: object) -> bytes:
    ramp = np.linspace(0, 255, size[0] * size[1]).reshape(size[1], size[0]).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(ramp).convert(mode).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("WEBP", "RGB")])
def test_camera_frame_is_rgb_of_its_size(kind: str, mode: str) -> None:
    pixels = decode_camera_frame(_encoded((64, 48), kind, mode, quality=95))
    assert pixels.shape == (48, 64, 3) and pixels.dtype == np.uint8 and pixels.flags.writeable
    assert pixels[0].mean() < 16 and pixels[-1].mean() > 239


def test_large_jpeg_is_decoded_at_half_size() -> None:
    assert decode_camera_frame(_encoded((1280, 720), "JPEG")).shape == (360, 640, 3)
    assert decode_camera_frame(_encoded((1000, 700), "JPEG")).shape == (700, 1000, 3)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cannot be read"),
        (b"GIF89a" + bytes(40), "cannot be read"),
        (_encoded((64, 48), "PNG"), "cannot be read"),
        (_encoded((64, 48), "JPEG")[:-200], "cannot be read"),
        (_encoded((1281, 8), "JPEG"), "is 1281 x 8"),
        (_encoded((64, 48), "JPEG", progressive=True), "progressive JPEG or an animation"),
        (
            _encoded((32, 32), "WEBP", save_all=True, append_images=[Image.new("RGB", (32, 32), "red")]),
            "progressive JPEG or an animation",
        ),
        (_encoded((64, 48), "JPEG") + bytes(MAX_BYTES), "has 512 kB"),
    ],
)
def test_other_camera_frame_is_refused_with_the_rule(data: bytes, words: str) -> None:
    with pytest.raises(MediaError, match="at most 1280 px and 512 kB") as caught:
        decode_camera_frame(data)
    assert words in str(caught.value)


def test_encoded_frame_is_a_jpeg_of_its_pixels() -> None:
    pixels = np.full((40, 60, 3), (200, 100, 50), np.uint8)
    jpeg = encode_jpeg(pixels)
    assert jpeg.startswith(b"\xff\xd8")
    assert np.abs(decode_camera_frame(jpeg).astype(int) - pixels).max() < 6
