"""How well a webcam sees a face, before a take is recorded."""

import base64
import binascii
import threading
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import RequestError
from fantasyportrait.faces.detect import Detection
from fantasyportrait.service.input_reader import InputReader

Seen = Literal["no_face", "too_dark", "closer", "centre", "several", "good", "busy"]
WIDTH, HEIGHT = 160, 120
"""The size of the picture. It comes as pixels, so that nothing of a visitor is decoded here."""
_TEXT_LENGTH = WIDTH * HEIGHT * 3 // 3 * 4
_DARK = 50.0  # mean of the face's brightness, 0 to 255
_CLOSE = 0.22  # side of the face over the height of the picture
_EDGE = 0.02  # a face is cut where its box comes nearer to the border, in sides of the picture


class CameraCheck:
    """Judges small pictures of webcams, one at a time. Threads may share it."""

    def __init__(self, inputs: InputReader) -> None:
        self._inputs = inputs
        self._lock = threading.Lock()

    def look(self, picture: object) -> Seen:
        """How well a face is seen in a picture of 160 x 120 px: its RGB bytes, row by row, as base64.

        "busy" where another picture is being judged: ask again later. Raises `RequestError` for other values.
        """
        pixels = decode_picture(picture)
        if not self._lock.acquire(blocking=False):
            return "busy"
        try:
            return judge(pixels, self._inputs.face_models.frame_detector().detect(pixels))
        finally:
            self._lock.release()


def decode_picture(picture: object) -> NDArray[np.uint8]:
    """The picture uint8 (120, 160, 3) RGB; raises `RequestError` for anything else than its bytes as base64."""
    if isinstance(picture, str) and len(picture) == _TEXT_LENGTH:
        try:
            data = base64.b64decode(picture, validate=True)
        except (ValueError, binascii.Error):
            data = b""
        if len(data) == WIDTH * HEIGHT * 3:
            return np.frombuffer(data, np.uint8).reshape(HEIGHT, WIDTH, 3)
    raise RequestError(
        "the picture of the camera must be {width} x {height} pixels: reload the page", width=WIDTH, height=HEIGHT
    )


def judge(pixels: NDArray[np.uint8], found: list[Detection]) -> Seen:
    """How well the faces of a picture are seen."""
    if not found:
        return "too_dark" if pixels.mean() < _DARK else "no_face"
    height, width = pixels.shape[:2]
    boxes = sorted((each.box for each in found), key=lambda box: float(box[3] - box[1]))
    left, top, right, bottom = (float(value) for value in boxes[-1])
    inside = pixels[max(0, int(top)) : int(bottom) + 1, max(0, int(left)) : int(right) + 1]
    if inside.mean() < _DARK:
        return "too_dark"
    if bottom - top < _CLOSE * height:
        return "closer"
    if left < _EDGE * width or top < _EDGE * height or right > width * (1 - _EDGE) or bottom > height * (1 - _EDGE):
        return "centre"
    return "several" if len(found) > 1 else "good"
