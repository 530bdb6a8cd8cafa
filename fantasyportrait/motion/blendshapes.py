"""Blendshapes of the built-in motions: displacements of the 478 points of the canonical face.

A shape is a few handles with displacements and a smooth falloff over the surface of the skin, along
which mouth and eyes are openings: a handle on the lower lip does not pull the upper one.
Shapes are written for the person's right side (x < 0 in the image) and mirrored; one-sided ones are halves of the
symmetric shape, so that left and right together give it back exactly. Centimetres; x right, y down in the
image, z into the picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import rotation_matrix
from fantasyportrait.faces.mesh import (
    INNER_LIPS,
    LEFT_EYE,
    LID_PAIRS,
    OVAL,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_IRIS,
    CanonicalFace,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Vector = tuple[float, float, float]

# fmt: off
BLENDSHAPE_NAMES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)
# fmt: on
JAW_DEGREES = 18.0
MIDLINE_CM = 1.5  # transition of one-sided shapes to the other half of the face


@dataclass(frozen=True, eq=False)
class Surface:
    """The canonical face with distances (468, 468) along its skin, and the mirror image (478,) of each point."""

    points: Floats
    distances: Floats
    mirror: Ints

    def spread(self, handles: Ints, values: Floats, radius: float) -> Floats:
        """Displacements (478, 3): `values` (H, 3) exactly at the handles, fading around them with `radius`."""
        distance = self.distances[:, handles]
        weights = np.exp(-((distance / radius) ** 2)) / (distance**2 + 1e-9) + 1e-12
        mean = weights @ values / weights.sum(axis=1, keepdims=True)
        field = np.zeros_like(self.points)
        field[: len(distance)] = mean * np.exp(-((distance.min(axis=1, keepdims=True) / radius) ** 2))
        return field

    def mirrored(self, field: Floats) -> Floats:
        """The same displacements (478, 3) on the other side of the face."""
        mirrored: Floats = field[self.mirror] * np.array([-1.0, 1.0, 1.0])
        return mirrored


class Deformer(Protocol):
    """A part of a shape."""

    def field(self, face: Surface) -> Floats:
        """Displacements (478, 3) in cm at weight 1, the same on both sides of the face."""


@dataclass(frozen=True)
class Pull:
    """Points moved by `shift`, and by `stretch` times their offset from the centre of them and their mirror images."""

    points: tuple[int, ...]
    shift: Vector
    radius: float
    stretch: Vector = (0.0, 0.0, 0.0)

    def field(self, face: Surface) -> Floats:
        """See `Deformer`."""
        handles = np.unique(np.concatenate([self.points, face.mirror[list(self.points)]]))
        inward = -np.sign(face.points[handles, :1])
        shifts = np.array(self.shift) * np.concatenate([inward, np.ones((len(handles), 2))], axis=1)
        offsets = face.points[handles] - face.points[handles].mean(axis=0)
        return face.spread(handles, shifts + offsets * np.array(self.stretch), self.radius)


@dataclass(frozen=True)
class Lids:
    """Eyelids that travel a share of the opening between them, the upper one down and the lower one up."""

    upper: float
    lower: float
    radius: float = 0.75

    def field(self, face: Surface) -> Floats:
        """See `Deformer`."""
        upper, lower = LID_PAIRS.T
        opening = face.points[lower] - face.points[upper]
        corners = np.concatenate([RIGHT_EYE[[0, 8]], LEFT_EYE[[0, 8]]])
        values = np.concatenate([self.upper * opening, -self.lower * opening, np.zeros((4, 3))])
        return face.spread(np.concatenate([upper, lower, corners]), values, self.radius)


@dataclass(frozen=True)
class Iris:
    """The discs of the irises moved by `shift` (right eye; the left one mirrored)."""

    shift: Vector

    def field(self, face: Surface) -> Floats:
        """See `Deformer`."""
        field = np.zeros_like(face.points)
        field[RIGHT_IRIS] = self.shift
        return field + face.mirrored(field)


@dataclass(frozen=True)
class JawHinge:
    """The jaw turned about an axis through the joints before the ears."""

    degrees: float

    def field(self, face: Surface) -> Floats:
        """See `Deformer`; a point turns by how much nearer it lies to the jaw than to what stays."""
        moving = np.concatenate([INNER_LIPS[14:17], [17, 18, 200, 199], OVAL[14:23]])
        resting = np.concatenate([INNER_LIPS[4:7], [0, 2, 98, 327, 50, 280], RIGHT_EYE, LEFT_EYE, OVAL[:10], OVAL[27:]])
        away = face.distances[:, resting].min(axis=1)
        share = away / (away + face.distances[:, moving].min(axis=1))
        weight = np.zeros(len(face.points))
        weight[: len(share)] = share**2 * (3.0 - 2.0 * share)
        joint = face.points[234] * np.array([0.0, 1.0, 1.0])
        turned = (face.points - joint) @ rotation_matrix(self.degrees, 0.0, 0.0).T + joint
        field: Floats = weight[:, None] * (turned - face.points)
        return field


_BROW = tuple(int(i) for i in RIGHT_BROW)
_BROW_OUTER, _BROW_INNER = _BROW[:3] + _BROW[7:], _BROW[3:7]
_CORNER = (61, 76, 62, 78)
_UPPER_LIP, _LOWER_LIP = (0, 37, 39, 13, 82, 81), (17, 84, 181, 14, 87, 178)
_LIPS = (61, 40, 37, 0, 13, 82, 80, 78, 88, 87, 14, 17, 84, 91)
_CHEEK, _NOSTRIL = (50, 205), (48, 64, 98, 129)

# Name without side -> parts at weight 1, on the person's right side (outward is -x, up is -y, forward is -z).
BLENDSHAPE_DEFORMERS: Mapping[str, tuple[Deformer, ...]] = MappingProxyType({
    "browDown": (Pull(_BROW_INNER, (0.22, 0.45, -0.05), 1.2), Pull(_BROW_OUTER, (0.08, 0.2, 0.0), 1.2)),
    "browInnerUp": (Pull(_BROW_INNER, (0.06, -0.6, 0.05), 1.4),),
    "browOuterUp": (Pull(_BROW_OUTER, (0.0, -0.6, 0.1), 1.4),),
    "cheekPuff": (Pull((205, 207), (-0.4, 0.0, -0.5), 1.8),),
    "cheekSquint": (Pull(_CHEEK, (0.0, -0.3, -0.1), 1.6), Lids(0.0, 0.12)),
    "eyeBlink": (Lids(0.88, 0.12),),
    "eyeSquint": (Lids(0.15, 0.3), Pull(_CHEEK[:1], (0.0, -0.15, -0.05), 1.5)),
    "eyeWide": (Lids(-0.42, -0.08),),
    "eyeLookDown": (Iris((0.0, 0.3, 0.02)), Lids(0.4, -0.1)),
    "eyeLookUp": (Iris((0.0, -0.3, 0.02)), Lids(-0.2, 0.06)),
    "eyeLookIn": (Iris((0.5, 0.0, 0.02)),),
    "eyeLookOut": (Iris((-0.5, 0.0, 0.1)),),
    "jawOpen": (JawHinge(JAW_DEGREES), Pull(_CORNER, (0.2, 0.0, 0.1), 1.3)),
    "mouthFrown": (Pull(_CORNER, (-0.05, 0.5, 0.1), 1.6),),
    "mouthFunnel": (
        Pull(_LIPS, (0.0, 0.0, -0.4), 1.4, (-0.3, 0.0, 0.0)),
        Pull(_UPPER_LIP, (0.0, -0.22, 0.0), 1.0),
        Pull(_LOWER_LIP, (0.0, 0.28, 0.0), 1.0),
    ),
    "mouthLowerDown": (Pull(_LOWER_LIP, (0.0, 0.4, 0.05), 1.0),),
    "mouthPress": (Pull((37, 39, 40), (0.0, 0.2, 0.12), 0.7), Pull((84, 181, 91), (0.0, -0.25, 0.12), 0.7)),
    "mouthPucker": (Pull(_LIPS, (0.0, 0.0, -0.55), 1.6, (-0.42, 0.0, 0.0)),),
    "mouthSmile": (
        Pull(_CORNER, (-0.6, -0.6, 0.55), 1.9),
        Pull(_CHEEK, (-0.1, -0.3, -0.15), 1.8),
        Lids(0.0, 0.1),
    ),
    "mouthStretch": (Pull(_CORNER, (-0.6, 0.12, 0.45), 1.8),),
    "mouthUpperUp": (Pull(_UPPER_LIP, (0.0, -0.4, 0.0), 1.1),),
    "noseSneer": (Pull(_NOSTRIL, (-0.03, -0.28, 0.03), 1.1), Pull(_UPPER_LIP, (0.0, -0.15, 0.0), 1.0)),
})  # fmt: skip


def blendshape_indices(name: str) -> tuple[int, ...]:
    """Rows of a blendshape in the 52: one, or the left and the right one of a name without side."""
    names = (name,) if name in BLENDSHAPE_NAMES else (f"{name}Left", f"{name}Right")
    return tuple(BLENDSHAPE_NAMES.index(each) for each in names)


def build_surface(canonical: CanonicalFace) -> Surface:
    """Prepare the canonical face for `Deformer.field`."""
    points = canonical.points.astype(np.float64)
    mirror = np.linalg.norm(points[:, None] * np.array([-1.0, 1.0, 1.0]) - points[None], axis=2).argmin(axis=1)
    return Surface(points, _distances(points, canonical.triangles), mirror)


def blendshape_basis(canonical: CanonicalFace) -> Floats:
    """Displacements (52, 478, 3) in cm of the canonical face for each blendshape at weight 1; zero where undefined."""
    return _basis(canonical.points.tobytes(), canonical.triangles.tobytes())


@lru_cache(maxsize=2)
def _basis(points: bytes, triangles: bytes) -> Floats:
    """`blendshape_basis` with hashable arguments, for the cache."""
    canonical = CanonicalFace(
        np.frombuffer(points, np.float32).reshape(-1, 3), np.frombuffer(triangles, np.int64).reshape(-1, 3)
    )
    face = build_surface(canonical)
    across = np.clip(0.5 - face.points[:, :1] / (2.0 * MIDLINE_CM), 0.0, 1.0)
    right_half = across**2 * (3.0 - 2.0 * across)
    basis = np.zeros((len(BLENDSHAPE_NAMES), *face.points.shape))
    for name, parts in BLENDSHAPE_DEFORMERS.items():
        field = np.sum([part.field(face) for part in parts], axis=0)
        field = (field + face.mirrored(field)) / 2
        rows = blendshape_indices(name)
        basis[rows[-1]] = field if len(rows) == 1 else field * right_half
        basis[rows[0]] = field if len(rows) == 1 else face.mirrored(field * right_half)
    basis.setflags(write=False)
    return basis


def _distances(points: Floats, triangles: Ints) -> Floats:
    """Shortest paths (468, 468) along edges of the skin, without the triangles that close mouth and eyes."""
    openings = [np.isin(triangles, ring).all(axis=1) for ring in (INNER_LIPS, RIGHT_EYE, LEFT_EYE)]
    skin = triangles[~np.any(openings, axis=0)]
    count = int(triangles.max()) + 1
    ways = np.full((count, count), np.inf)
    np.fill_diagonal(ways, 0.0)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        start, end = skin[:, a], skin[:, b]
        ways[start, end] = ways[end, start] = np.linalg.norm(points[start] - points[end], axis=1)
    for via in range(count):
        np.minimum(ways, ways[:, via, None] + ways[None, via], out=ways)
    return ways
