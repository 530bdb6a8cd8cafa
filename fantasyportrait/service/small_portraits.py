"""Portraits at the sizes of previews: the scene at 480 px, each face at 160 px; the last ones are kept in memory."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import RequestError
from fantasyportrait.images.images import Photo, even_size, resize
from fantasyportrait.schema.face import Face, MaskedFace
from fantasyportrait.schema.face_edits import NO_EDITS, FaceEdits
from fantasyportrait.schema.portrait import PortraitLike, as_portrait
from fantasyportrait.service.input_reader import InputReader

SCENE_SIDE = 480
FACE_SIDE = 160
# A small portrait takes half a megabyte, and 0.3 megabytes for each face.
_KEPT = 8
_Key = tuple[str, str, FaceEdits]
# The square around a face, in sides of its box, and how far its middle lies above the box's, in the same unit.
_AROUND, _ABOVE = 2.2, 0.1


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """The square around one face: `pixels` uint8 (160, 160, 3) RGB, and all faces whose middle it shows."""

    pixels: NDArray[np.uint8]
    faces: tuple[Face, ...]


@dataclass(frozen=True, eq=False)
class SmallPortrait:
    """A portrait at the sizes of previews.

    Attributes:
        sha256: of the photo's file.
        size: (width, height) of the photo.
        pixels: uint8 (H, W, 3) RGB, at most 480 px, both sides even.
        faces: all faces, in these pixels, with the masks of their heads.
        crops: the square around each face by the number of the face.
    """

    sha256: str
    size: tuple[int, int]
    pixels: NDArray[np.uint8]
    faces: tuple[MaskedFace, ...]
    crops: Mapping[int, FaceCrop]

    def crop(self, face: int) -> FaceCrop:
        """The square around a face; `RequestError` for a face that the photo does not show."""
        if face not in self.crops:
            raise RequestError(
                "face is {face}: the photo shows the faces {names}", face=face, names=", ".join(map(str, self.crops))
            )
        return self.crops[face]


class SmallPortraits:
    """Makes small portraits and remembers the last ones by the content of the photo. Threads may share it."""

    def __init__(self, inputs: InputReader) -> None:
        self._inputs = inputs
        self._kept: OrderedDict[_Key, SmallPortrait] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, portrait: PortraitLike, detector: str = "centerface", edits: FaceEdits = NO_EDITS) -> SmallPortrait:
        """The small portrait; the photo is read and its faces are found, and edited, only where it is not known.

        Raises what `InputReader.faces` raises.
        """
        given = as_portrait(portrait, "portrait")
        sha256 = self._inputs.hashed(given).sha256 if isinstance(given, Path) else given.sha256
        known = self._known((sha256, detector, edits))
        return known or self.add(*self._inputs.faces(given, detector, edits), detector, edits)

    def add(
        self, photo: Photo, faces: Sequence[Face], detector: str = "centerface", edits: FaceEdits = NO_EDITS
    ) -> SmallPortrait:
        """Make and keep the small portrait of a photo and its faces, as `InputReader.faces` returns them.

        Call it where a photo is analysed anyway: `of` then does not search it again. It replaces the one that is kept.
        """
        height, width = photo.pixels.shape[:2]
        size = even_size(width, height, SCENE_SIDE)
        pixels = resize(photo.pixels, size, fast=True)
        resized = [face.resized((width, height), size) for face in faces]
        crops = {face.id: _crop(photo.pixels, face, faces) for face in faces}
        made = SmallPortrait(photo.sha256, (width, height), pixels, self._inputs.masked(pixels, resized), crops)
        with self._lock:
            self._kept[photo.sha256, detector, edits] = made
            self._kept.move_to_end((photo.sha256, detector, edits))
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made

    def _known(self, key: _Key) -> SmallPortrait | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)


def _crop(pixels: NDArray[np.uint8], face: Face, everyone: Sequence[Face]) -> FaceCrop:
    """The square around a face, moved and made smaller where the photo's border would cut it."""
    height, width = pixels.shape[:2]
    side = min(round(face.side * _AROUND), width, height)
    left, top = (
        int(np.clip(round(middle - side / 2), 0, most - side))
        for middle, most in zip(_middle(face) - [0, _ABOVE * face.side], (width, height), strict=True)
    )
    square = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    origin = np.array([left, top, 0], np.float32)
    shown = []
    for each in everyone:
        x, y = _middle(each) - [left, top]
        if each.id == face.id or (0 <= x < side and 0 <= y < side):
            moved = replace(each, box=each.box - np.tile(origin[:2], 2), landmarks=each.landmarks - origin)
            shown.append(moved.resized((side, side), (FACE_SIDE, FACE_SIDE)))
    return FaceCrop(resize(square, (FACE_SIDE, FACE_SIDE)), tuple(shown))


def _middle(face: Face) -> NDArray[np.float32]:
    return np.asarray((face.box[:2] + face.box[2:]) / 2, np.float32)
