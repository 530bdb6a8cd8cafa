"""The gallery of built-in motions: each as a small loop on one face of a visitor's photo, with a still poster."""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.engines.base import canonical_face
from fantasyportrait.images.images import save_image
from fantasyportrait.media.writer import VideoWriter
from fantasyportrait.motion.builtin import builtin_motion
from fantasyportrait.motion.looping import liveliest_start, movement, seamless_loop
from fantasyportrait.preview.engine import SceneRenderer, rows_of
from fantasyportrait.schema.cast import BuiltinSource
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face_edits import NO_EDITS, FaceEdits
from fantasyportrait.schema.face_motion import FaceMotion
from fantasyportrait.schema.portrait import PortraitLike
from fantasyportrait.service.animator import Animator
from fantasyportrait.service.request_runner import METADATA

RATE = Fraction(15)
LOOP_FRAMES = 24
_LEAD_IN = 6
# About one cycle of every motion: the part in which most moves is cut out of it.
_MOTION_S = 4
# Raise it with every change that alters a loop: loops of older versions are not used then.
_VERSION = 1


@dataclass(frozen=True)
class MotionLoop:
    """The files of one motion on one face: a silent MP4 of 1.6 s that loops without a seam, and a still WebP."""

    video: Path
    poster: Path


def motion_loop(
    animator: Animator,
    portrait: PortraitLike,
    face: int,
    motion: str,
    folder: Path,
    *,
    edits: FaceEdits = NO_EDITS,
    cancel: CancelToken | None = None,
) -> MotionLoop:
    """The loop of a built-in motion on a face of the portrait, 160 x 160 px, in `folder`; one that is there is kept.

    The names of its files follow from the contents: photo, face and motion. The poster is the frame in which the face
    differs most from the photo. Raises `RequestError` for an unknown face or motion, `OutputError`, `Cancelled`, and
    what `InputReader.faces` raises; then nothing is written.
    """
    source, cancel = BuiltinSource(motion), cancel or CancelToken()
    small = animator.small_portraits.of(portrait, edits=edits)
    crop = small.crop(face)
    name = hashlib.sha256(f"{_VERSION} {small.sha256} {edits} {face} {motion}".encode()).hexdigest()[:32]
    made = MotionLoop(folder / f"{name}.mp4", folder / f"{name}.webp")
    if made.video.is_file() and made.poster.is_file():
        return made
    cancel.check()
    canonical = canonical_face(animator.inputs.models_dir)
    whole = builtin_motion(source.name, int(_MOTION_S * RATE), RATE, canonical)
    loop = _liveliest_loop(whole)
    driven = [
        DrivenFace(each, loop if each.id == face else None) for each in animator.inputs.masked(crop.pixels, crop.faces)
    ]
    renderer = SceneRenderer(crop.pixels, driven, canonical)
    with VideoWriter(made.video, crop.pixels.shape[1::-1], RATE, metadata=METADATA) as writer:
        for number in range(LOOP_FRAMES):
            cancel.check()
            writer.write(renderer.draw(rows_of(driven, number)))
        save_image(made.poster, renderer.draw(rows_of(driven, _strongest(loop))))
    return made


def _liveliest_loop(motion: FaceMotion) -> FaceMotion:
    """The part of a motion that repeats without a seam in which most moves, as a loop."""
    rows: NDArray[np.int64] = np.arange(len(motion) + LOOP_FRAMES + _LEAD_IN) % len(motion)
    start = liveliest_start([movement(motion, rows)], LOOP_FRAMES, _LEAD_IN)
    return seamless_loop(motion, rows[start - _LEAD_IN : start + LOOP_FRAMES], _LEAD_IN)


def _strongest(loop: FaceMotion) -> int:
    """The frame in which the face is farthest from its neutral one."""
    away = np.linalg.norm(loop.landmarks - loop.neutral, axis=2).mean(axis=1)
    return int(np.argmax(away))
