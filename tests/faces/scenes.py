"""Synthetic driving clips: heads cut out of the bundled photo, moved by known amounts over a plain room."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = (320, 240)
# Boxes of the two heads in the bundled photo, xyxy.
_HEADS = ((180, 15, 435, 315), (668, 30, 902, 345))


@dataclass(frozen=True)
class Head:
    """A cut-out head: RGB (h, w, 3), alpha (h, w) 0 to 1."""

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.float32]

    @classmethod
    def of(cls, photo: NDArray[np.uint8], number: int) -> "Head":
        """Head 0 (left) or 1 (right) of the bundled photo, in a soft ellipse."""
        left, top, right, bottom = _HEADS[number]
        pixels = np.ascontiguousarray(photo[top:bottom, left:right])
        height, width = pixels.shape[:2]
        alpha = np.zeros((height, width), np.float32)
        cv2.ellipse(alpha, (width // 2, height // 2), (width // 2 - 4, height // 2 - 4), 0, 0, 360, 1.0, -1)
        return cls(pixels, cv2.GaussianBlur(alpha, (0, 0), 2))


@dataclass(frozen=True)
class Placement:
    """Place of a head in a frame: centre in pixels, height in pixels, roll in degrees (clockwise on the screen)."""

    x: float
    y: float
    height: float = 120.0
    roll: float = 0.0

    def matrix(self, head: Head) -> NDArray[np.float64]:
        """Affine (2, 3) from the cut-out's pixels to the frame's."""
        height, width = head.alpha.shape
        scale, angle = self.height / height, np.radians(self.roll)
        linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.column_stack([linear, [self.x, self.y] - linear @ [width / 2, height / 2]])


def empty_room() -> NDArray[np.uint8]:
    """An empty frame: a soft gradient with a few blocks."""
    width, height = SIZE
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    frame = np.stack([90 + 60 * x, 110 + 40 * y, 130 - 30 * x * y], axis=-1).astype(np.uint8)
    for left, colour in ((20, (60, 80, 60)), (250, (120, 60, 50))):
        cv2.rectangle(frame, (left, 150), (left + 40, height), colour, -1)
    return cv2.GaussianBlur(frame, (0, 0), 1.5)


def paste(frame: NDArray[np.uint8], head: Head, place: Placement) -> NDArray[np.uint8]:
    """Return the frame with the head pasted into it."""
    matrix = place.matrix(head)
    finer = head.alpha.shape[0] / place.height
    pixels = cv2.GaussianBlur(head.pixels, (0, 0), max(0.4 * finer, 0.3))
    pixels = cv2.warpAffine(pixels, matrix, SIZE, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(head.alpha, matrix, SIZE)[..., None]
    return np.round(frame * (1 - alpha) + pixels * alpha).astype(np.uint8)


def write_clip(path: Path, frames: Iterable[NDArray[np.uint8]], rate: int = 25) -> Path:
    """Write RGB frames as nearly lossless H.264 and return the path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate), options={"crf": "8", "preset": "ultrafast"})
        for number, frame in enumerate(frames):
            if number == 0:
                stream.width, stream.height, stream.pix_fmt = frame.shape[1], frame.shape[0], "yuv444p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_stamped(path: Path, frames: Iterable[tuple[Fraction, NDArray[np.uint8]]]) -> Path:
    """Write RGB frames that begin at the given seconds and return the path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "8", "preset": "ultrafast"})
        stream.pix_fmt, stream.codec_context.time_base = "yuv444p", Fraction(1, 1000)
        for number, (begin, pixels) in enumerate(frames):
            if number == 0:
                stream.width, stream.height = pixels.shape[1], pixels.shape[0]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(begin * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
