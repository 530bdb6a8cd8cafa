"""Small pictures that the page shows, in the session's folder."""

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.images.images import resize, save_image
from fantasyportrait.studio.session_store import SHOWN, Session, new_id

THUMBNAIL_SIDE = 160
MARGIN = 0.3


def save_picture(session: Session, pixels: NDArray[np.uint8], longest: int, quality: int = 85) -> str:
    """Save a picture uint8 (H, W, 3) RGB, its longest side at most `longest`; returns its path in the folder."""
    height, width = pixels.shape[:2]
    scale = min(1.0, longest / max(height, width))
    name = f"{SHOWN}/{new_id()}.jpg"
    size = max(1, round(width * scale)), max(1, round(height * scale))
    save_image(session.path(name), resize(pixels, size, fast=True), quality)
    return name


def square_around(pixels: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The square of a picture around a face's xyxy box, in pixels."""
    height, width = pixels.shape[:2]
    centre_x, centre_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    side = min(float(max(box[2] - box[0], box[3] - box[1])) * (1 + 2 * MARGIN), width, height)
    left = round(float(np.clip(centre_x - side / 2, 0, width - side)))
    top = round(float(np.clip(centre_y - side / 2, 0, height - side)))
    return np.ascontiguousarray(pixels[top : top + round(side), left : left + round(side)])
