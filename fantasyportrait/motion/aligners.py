"""The five alignment points of a face in each frame, from the original nets or from the face mesh."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import Array, bounding_box
from fantasyportrait.motion.alignment import FIVE_OF_222, FIVE_OF_MESH
from fantasyportrait.motion.group_smoothing import GroupSmoother, face_size
from fantasyportrait.motion.portrait_landmarks import PortraitLandmarkNet


class Aligner(Protocol):
    """Finds the alignment points of one face through the frames of one clip."""

    def five_points(self, pixels: NDArray[np.uint8], mesh: NDArray[np.float32] | None) -> NDArray[np.float64] | None:
        """The five points (5, 2) of the next RGB frame (H, W, 3), left of the image first; None where they are lost.

        `mesh`: the face's 478 landmarks (478, 3) in that frame, None where the tracker did not see it.
        """
        ...


class MeshAligner:
    """Takes the points from the mesh, which should be smoothed before."""

    def five_points(self, pixels: NDArray[np.uint8], mesh: NDArray[np.float32] | None) -> NDArray[np.float64] | None:
        """Irises, nose and corners of the mouth of the mesh."""
        return None if mesh is None else mesh[FIVE_OF_MESH, :2].astype(np.float64)


class LandmarkAligner:
    """The original alignment: 222 landmarks, each frame's found from the previous frame's, smoothed in groups.

    The mesh gives the start and a check: when the landmarks have left its box, for another person's face for example,
    they start again from the mesh.
    """

    def __init__(self, net: PortraitLandmarkNet) -> None:
        self._net = net
        self._last: NDArray[np.float64] | None = None
        self._smoother = GroupSmoother()

    def five_points(self, pixels: NDArray[np.uint8], mesh: NDArray[np.float32] | None) -> NDArray[np.float64] | None:
        """Pupils, nose and corners of the mouth of the smoothed landmarks."""
        if mesh is None:
            self._reset()
            return None
        box = bounding_box(mesh)
        reading = None if self._last is None else self._net.read(pixels, self._last)
        if reading is None or not _inside(reading.points, box):
            self._reset()
            reading = self._net.read(pixels, box)
        if reading is None or not _inside(reading.points, box):
            return None
        self._last = reading.points
        size = face_size(reading.points, reading.pitch, reading.yaw)
        return np.asarray(self._smoother.smooth(reading.points, size)[FIVE_OF_222])

    def _reset(self) -> None:
        self._last, self._smoother = None, GroupSmoother()


def _inside(points: Array, box: Array) -> bool:
    """Whether the centre of the landmarks lies in the box (4,) xyxy."""
    middle = np.asarray(points).mean(axis=0)
    return bool((middle >= box[:2]).all() and (middle <= box[2:]).all())
