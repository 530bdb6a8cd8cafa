"""Small clips and sounds, made on the fly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av import AudioFrame, VideoFrame
from numpy.typing import NDArray

QUADRANTS = np.array([[[220, 30, 30], [30, 200, 30]], [[30, 30, 220], [230, 230, 230]]], np.uint8)


def quadrants(width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """Red and green above blue and white."""
    return np.kron(QUADRANTS, np.ones((height // 2, width // 2, 1), np.uint8))


def grey(level: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """One even grey."""
    return np.full((height, width, 3), level, np.uint8)


def counting(index: int) -> NDArray[np.uint8]:
    """A grey that tells the frame's number (up to 24)."""
    return grey(10 + 10 * index)


def number_of(frame: NDArray[np.uint8]) -> int:
    """What `counting` wrote."""
    return round((float(frame.mean()) - 10) / 10)


def tone(seconds: float, hertz: float = 440.0, level: float = 0.5, rate: int = 48000) -> NDArray[np.float32]:
    """Sine, float32 (n, 2)."""
    wave = level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], 2, axis=1).astype(np.float32)


@dataclass(frozen=True)
class ClipSpec:
    """How `make_clip` encodes."""

    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    rate: Fraction = Fraction(25)
    stamps: Sequence[int] | None = None  # in `unit`
    unit: Fraction = Fraction(1, 1000)
    rotation: tuple[float, bool, bool] | None = None
    aspect: Fraction | None = None
    options: tuple[tuple[str, str], ...] = (("crf", "10"), ("preset", "ultrafast"))
    colours: tuple[int, int, int] | None = None  # matrix, primaries, transfer
    sound: NDArray[np.float32] | None = None
    sound_codec: str = "aac"
    change: Callable[[VideoFrame], None] | None = None


def make_clip(path: Path, frames: Sequence[NDArray[Any]], spec: ClipSpec | None = None) -> Path:
    """Encode `frames` (RGB arrays) to `path`; the container follows the suffix."""
    spec = spec or ClipSpec()
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(spec.codec, spec.rate, options=dict(spec.options))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = spec.pix_fmt
        if spec.aspect:
            stream.codec_context.sample_aspect_ratio = spec.aspect
        if spec.rotation:
            stream.set_display_rotation(*spec.rotation)
        if spec.colours:
            context = stream.codec_context
            context.colorspace, context.color_primaries, context.color_trc = spec.colours
        if spec.stamps:
            stream.codec_context.time_base = spec.unit
        sound: Any = None
        if spec.sound is not None:
            sound = container.add_stream(spec.sound_codec, 48000, layout="stereo")
        for index, pixels in enumerate(frames):
            frame = VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=spec.pix_fmt)
            frame.pts = spec.stamps[index] if spec.stamps else index
            frame.time_base = spec.unit if spec.stamps else 1 / spec.rate
            if spec.change:
                spec.change(frame)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            encode_sound(container, sound, spec.sound)
    return path


def make_sound(
    path: Path, samples: NDArray[np.float32], codec: str = "pcm_f32le", rate: int = 48000, layout: str = "stereo"
) -> Path:
    """A file with sound and no picture; samples float32 (n, channels of the layout)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate, layout=layout)
        encode_sound(container, stream, samples, rate, layout)
    return path


def encode_sound(
    container: Any, stream: Any, samples: NDArray[np.float32] | None, rate: int = 48000, layout: str = "stereo"
) -> None:
    """Encode and mux float32 (n, channels of the layout)."""
    assert samples is not None
    for begin in range(0, len(samples), 4800):
        part = np.ascontiguousarray(samples[begin : begin + 4800]).reshape(1, -1)
        frame = AudioFrame.from_ndarray(part, "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
