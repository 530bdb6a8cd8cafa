"""Portraits at the size of the scene preview, with the masks of their heads; the last ones are kept in memory."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.images.images import Photo, even_size, resize
from fantasyportrait.schema.face import Face, MaskedFace
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.input_reader import InputReader

SMALL_SIDE = 480
# One takes half a megabyte, and 0.1 megabytes for each face.
_KEPT = 8

_Key = tuple[str, str, int]


@dataclass(frozen=True, eq=False)
class SmallPortrait:
    """A portrait of at most 480 px: `pixels` uint8 (H, W, 3) RGB, both sides even, and its faces with their masks."""

    pixels: NDArray[np.uint8]
    faces: tuple[MaskedFace, ...]


class SmallPortraits:
    """Makes small portraits and remembers the last ones by the content of the photo. Threads may share it."""

    def __init__(self, inputs: InputReader) -> None:
        self._inputs = inputs
        self._kept: OrderedDict[_Key, SmallPortrait] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, request: AnimationRequest) -> SmallPortrait:
        """The small portrait of a request; its photo is read and its faces are found where they are not known.

        Raises what `InputReader.faces` raises.
        """
        portrait = request.portrait
        sha256 = self._inputs.hashed(portrait).sha256 if isinstance(portrait, Path) else portrait.sha256
        found = self._known(_key(sha256, request.detector, request.max_side))
        if found is not None:
            return found
        photo, faces = self._inputs.faces(portrait, request.detector)
        return self.add(photo, faces, request.detector, request.max_side)

    def add(
        self, photo: Photo, faces: Sequence[Face], detector: str = "centerface", max_side: int | None = None
    ) -> SmallPortrait:
        """Make and keep the small portrait of a photo whose faces were found by `InputReader.faces`.

        Call it where a photo is analysed anyway: `of` then does not search it again.
        """
        key = _key(photo.sha256, detector, max_side)
        found = self._known(key)
        if found is None:
            height, width = photo.pixels.shape[:2]
            size = even_size(width, height, key[2])
            pixels = resize(photo.pixels, size, fast=True)
            resized = [face.resized((width, height), size) for face in faces]
            found = SmallPortrait(pixels, self._inputs.masked(pixels, resized))
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return found

    def _known(self, key: _Key) -> SmallPortrait | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)


def _key(sha256: str, detector: str, max_side: int | None) -> _Key:
    return sha256, detector, min(SMALL_SIDE, max_side or SMALL_SIDE)
