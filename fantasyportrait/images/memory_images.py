"""Photos from pictures in memory: numpy arrays or Pillow images."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fantasyportrait.core.errors import RequestError
from fantasyportrait.images.images import Photo, flattened_srgb

RULE = "give uint8 RGB (H, W, 3), RGBA (H, W, 4) or grey (H, W)"


def photo_in_memory(picture: NDArray[Any] | Image.Image, name: str) -> Photo:
    """Copy a picture to a photo: an array is uint8 RGB (H, W, 3), RGBA (H, W, 4) or grey (H, W) in sRGB.

    A Pillow image is turned upright and converted to sRGB as a file is. `sha256` is of the pixels. Raises
    `RequestError` that names the argument `name` for another shape, dtype or mode.
    """
    image = picture if isinstance(picture, Image.Image) else _image_of(picture, name)
    if image.mode == "F" or 0 in image.size:
        raise RequestError(
            "{name} is an image of mode {mode} and size {size}: {rule}",
            name=name,
            mode=image.mode,
            size=image.size,
            rule=RULE,
        )
    messages: list[str] = []
    try:
        pixels, alpha = flattened_srgb(image, messages)
    except Exception as error:  # closed, cut off, of a rare mode: Pillow raises any type
        raise RequestError(
            "{name} is an image of mode {mode} that cannot be read ({error}): {rule}",
            name=name,
            mode=image.mode,
            error=error,
            rule=RULE,
        ) from error
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes())
    if alpha is not None:
        digest.update(alpha.tobytes())
    return Photo(pixels, tuple(messages), digest.hexdigest(), alpha)


def _image_of(array: NDArray[Any], name: str) -> Image.Image:
    flat = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    channels = 1 if flat.ndim == 2 else flat.shape[2] if flat.ndim == 3 else 0
    if flat.dtype != np.uint8 or channels not in (1, 3, 4) or 0 in flat.shape:
        raise RequestError(
            "{name} is a {dtype} array {shape}: {rule}", name=name, dtype=array.dtype, shape=array.shape, rule=RULE
        )
    return Image.fromarray(np.ascontiguousarray(flat))
