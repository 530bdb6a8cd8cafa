"""Photos and clips made from the bundled picture: real faces that may be shipped, small enough to be quick."""

import wave
from pathlib import Path

import numpy as np

from fantasyportrait.images.images import load_photo, resize, save_image
from fantasyportrait.schema.cast import BuiltinSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator

CLIP_S = 1.0


def one_person(two_person: Path, path: Path, left: bool = True, height: int = 288) -> Path:
    """Half of the bundled picture: one person, `height` pixels high."""
    pixels = load_photo(two_person).pixels
    half = pixels.shape[1] // 2
    pixels = pixels[:, :half] if left else pixels[:, half:]
    width = round(pixels.shape[1] * height / pixels.shape[0] / 2) * 2
    save_image(path, resize(np.ascontiguousarray(pixels), (width, height)))
    return path


def tone(path: Path, seconds: float = CLIP_S) -> Path:
    """A sine wave as a WAV file."""
    samples = np.sin(np.arange(round(seconds * 16000)) * 2 * np.pi * 440 / 16000) * 8000
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def acted(photo: Path, motions: tuple[str, ...], path: Path, sound: Path | None = None) -> Path:
    """A short clip in which the faces of `photo` act built-in motions, left to right."""
    cast = tuple(Role(face, BuiltinSource(name)) for face, name in enumerate(motions, 1))
    heard = "none" if sound is None else f"file:{sound}"
    request = AnimationRequest(photo, cast, duration=CLIP_S, sound=heard, side_by_side=False)
    return Animator(cache_dir=path.parent / "cache").animate(request, path).video
