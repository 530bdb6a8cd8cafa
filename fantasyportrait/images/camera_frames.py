"""Pictures of a browser's camera: JPEG or WebP bytes in, JPEG bytes out, many times a second."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fantasyportrait.core.errors import MediaError

MAX_BYTES = 512 * 1024
MAX_SIDE = 1280
# A larger JPEG is decoded reduced as long as its longer side keeps so many pixels: the landmark net reads 256.
_ENOUGH = 640
_QUALITY = 85


def decode_camera_frame(data: bytes) -> NDArray[np.uint8]:
    """The picture as RGB, uint8 (H, W, 3); a large JPEG is decoded at half its size.

    Raises `MediaError` for a picture over 512 kB or 1280 px, a progressive JPEG (whose passes take unbounded time), an
    animation, another format, and one that is damaged.
    """
    rule = f"send a baseline JPEG or a WebP of at most {MAX_SIDE} px and {MAX_BYTES // 1024} kB"
    if len(data) > MAX_BYTES:
        raise MediaError("the camera's picture has {count} kB: {rule}", count=len(data) // 1024, rule=rule)
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG", "WEBP"]) as image:
            width, height = image.size
            if max(width, height) > MAX_SIDE:
                raise MediaError(
                    "the camera's picture is {width} x {height}: {rule}", width=width, height=height, rule=rule
                )
            if image.info.get("progressive") or getattr(image, "n_frames", 1) > 1:
                raise MediaError("the camera's picture is a progressive JPEG or an animation: {rule}", rule=rule)
            scale = _ENOUGH / max(width, height)
            image.draft("RGB", (round(width * scale), round(height * scale)))
            return np.array(image.convert("RGB"))
    except MediaError:
        raise
    except Exception as error:  # Pillow's plugins raise any type
        raise MediaError("the camera's picture cannot be read ({error}): {rule}", error=error, rule=rule) from error


def encode_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """A picture, RGB uint8 (H, W, 3), as a JPEG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
