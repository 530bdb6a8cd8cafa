"""The 478-point face mesh: named groups of points, and the canonical face of MediaPipe's geometry file.

Left and right are the person's own.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import Array

# fmt: off
RIGID = np.array([10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 33, 133, 362, 263, 127, 356, 234, 454, 54, 284, 103, 332, 109, 338, 67, 297])
OVAL = np.array([10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109])
INNER_LIPS = np.array([78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95])
OUTER_LIPS = np.array([61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146])
RIGHT_EYE = np.array([33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7])
LEFT_EYE = np.array([263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249])
RIGHT_IRIS = np.array([468, 469, 470, 471, 472])
LEFT_IRIS = np.array([473, 474, 475, 476, 477])
RIGHT_BROW = np.array([70, 63, 105, 66, 107, 55, 65, 52, 53, 46])
LEFT_BROW = np.array([300, 293, 334, 296, 336, 285, 295, 282, 283, 276])
# Rings of eye and mouth run from one corner over the top to the other and back below: point k lies above point -k.
LID_PAIRS = np.concatenate([np.stack([ring[1:8], ring[:8:-1]], axis=1) for ring in (RIGHT_EYE, LEFT_EYE)])
LIP_PAIRS = np.stack([INNER_LIPS[1:10], INNER_LIPS[:10:-1]], axis=1)
# Blendshapes that come in pairs (left, right), by index; the rest is symmetric.
_BLENDSHAPE_PAIRS = [(1, 2), (4, 5), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16), (17, 18), (19, 20), (21, 22), (24, 26), (28, 29), (30, 31), (33, 39), (34, 35), (36, 37), (44, 45), (46, 47), (48, 49), (50, 51)]
# fmt: on


@dataclass(frozen=True)
class CanonicalFace:
    """MediaPipe's mean face, turned to image axes (x right, y down, z into the picture), in centimetres.

    Attributes:
        points: float32 (478, 3); 468 from the file, then the ten iris points.
        triangles: int64 (898, 3) over the first 468 points; they cover eyes and mouth too.
    """

    points: NDArray[np.float32]
    triangles: NDArray[np.int64]

    @cached_property
    def mirror(self) -> NDArray[np.int64]:
        """int64 (478,): the point that each point becomes in a mirror."""
        flipped = self.points * np.array([-1, 1, 1], np.float32)
        skin = ((flipped[:468, None] - self.points[None, :468]) ** 2).sum(axis=2).argmin(axis=1)
        # Rim points run right, up, left, down in both eyes, so right and left swap as well.
        return np.concatenate([skin, 473 + np.array([0, 3, 2, 1, 4]), 468 + np.array([0, 3, 2, 1, 4])])


def lip_opening(points: Array) -> NDArray[np.float64]:
    """Mean height of the inner lips over their width, of landmarks (..., 478, 2 or 3): 0 shut, 0.5 wide open."""
    height = np.linalg.norm(points[..., LIP_PAIRS[:, 0], :] - points[..., LIP_PAIRS[:, 1], :], axis=-1).mean(axis=-1)
    width = np.linalg.norm(points[..., INNER_LIPS[0], :] - points[..., INNER_LIPS[10], :], axis=-1)
    return np.asarray(height / np.maximum(width, 1e-6), np.float64)


def neck_of(points: Array, rotation: Array) -> NDArray[np.float64]:
    """The pivot (3,) between head and neck of landmarks (478, 3); `rotation` (3, 3) is the head's pose.

    0.35 face heights below and half a face width behind the middle of the rigid points, in the face's own frame.
    """
    own = np.asarray(points, np.float64)
    height, width = np.linalg.norm(own[152] - own[10]), np.linalg.norm(own[454] - own[234])
    return np.asarray(own[RIGID].mean(axis=0) + rotation @ np.array([0, 0.35 * height, 0.5 * width]))


def mirrored_points(points: NDArray[np.float32], width: float, mirror: NDArray[np.int64]) -> NDArray[np.float32]:
    """Landmarks (..., 478, 3) of the same picture mirrored, which is `width` pixels wide."""
    flipped: NDArray[np.float32] = points[..., mirror, :].copy()
    flipped[..., 0] = width - 1 - flipped[..., 0]
    return flipped


def mirrored_blendshapes(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blendshapes (..., 52) with left and right swapped."""
    order = np.arange(52)
    for left, right in _BLENDSHAPE_PAIRS:
        order[[left, right]] = right, left
    return scores[..., order]


@cache
def read_canonical_face(path: Path) -> CanonicalFace:
    """Read the canonical face from `geometry_pipeline_metadata_landmarks.binarypb` (a protocol buffer)."""
    mesh = next(value for field, value in _fields(path.read_bytes()) if field == 1)
    numbers: list[float] = []
    indices: list[int] = []
    for field, value in _fields(mesh):
        if field == 3:
            numbers.append(struct.unpack("<f", value)[0])
        elif field == 4:
            indices.append(int.from_bytes(value, "little"))
    vertices = np.array(numbers, np.float32).reshape(-1, 5)[:, :3] * np.array([1, -1, -1], np.float32)
    points = np.concatenate([vertices, _iris(vertices, RIGHT_EYE), _iris(vertices, LEFT_EYE)])
    return CanonicalFace(points, np.array(indices, np.int64).reshape(-1, 3))


def _iris(vertices: NDArray[np.float32], eye: NDArray[np.int64]) -> NDArray[np.float32]:
    """Centre and four rim points (5, 3): the file has none, so a disc of 42 % of the eye's width between its corners."""
    ring = vertices[eye]
    centre = (ring[0] + ring[8]) / 2
    centre[1] = ring[:, 1].mean()
    centre[2] = ring[:, 2].min()
    radius = 0.21 * np.linalg.norm(ring[0] - ring[8])
    rim = np.array([[1, 0, 0], [0, -1, 0], [-1, 0, 0], [0, 1, 0]], np.float32) * radius
    return np.concatenate([centre[None], centre + rim]).astype(np.float32)


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (field number, raw value) of one protocol-buffer message; numbers as little-endian bytes."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while position < len(data):
        key = varint()
        wire = key & 7
        if wire == 0:
            yield key >> 3, varint().to_bytes(8, "little")
        elif wire in (2, 5):
            length = varint() if wire == 2 else 4
            yield key >> 3, data[position : position + length]
            position += length
        else:
            raise ValueError(f"{wire} is not a wire type of a face geometry file")
