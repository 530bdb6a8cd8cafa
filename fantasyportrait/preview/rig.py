"""The rig of one face: its mesh, and rings of points around it that move hair and neck."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import SimilarityTransform, estimate_similarity
from fantasyportrait.faces.masks import FaceAxes
from fantasyportrait.faces.mesh import INNER_LIPS, RIGID, CanonicalFace, neck_of

_SPOKES = 48
# Distance of each ring from the face's outline in face heights, how far it lies back towards the middle of the
# head (0 at the outline's own depth, 1 at the neck's axis), and its share of the outline's expression.
_RINGS = ((0.08, 0.3, 0.6), (0.2, 0.7, 0.3), (0.38, 1.0, 0.1), (0.65, 1.0, 0.0), (1.0, 1.0, 0.0), (1.5, 1.0, 0.0))


@dataclass(frozen=True)
class Rig:
    """Everything of a face that does not change from frame to frame. Points are pixels of the photo.

    Attributes:
        landmarks: float64 (478, 3) of the photo.
        head: similarity of the canonical face onto them.
        axes: the face's upright frame.
        pivot: float64 (3,) where head and neck meet.
        outline: float64 (48, 3) points on the hull of the face, each between two landmarks.
        outline_ends, outline_share: int64 (48, 2) those landmarks, float64 (48,) the share of the second.
        rings: float64 (6 * 48, 3) points around the outline.
        follow: float64 (6 * 48,) how much of the head's movement each ring point makes, 1 to 0.
        triangles: int64 (N, 3) over `points`; the outer ones come first, so they are drawn first.
        outer: how many of them are outer ones.
    """

    landmarks: NDArray[np.float64]
    head: SimilarityTransform
    axes: FaceAxes
    pivot: NDArray[np.float64]
    outline: NDArray[np.float64]
    outline_ends: NDArray[np.int64]
    outline_share: NDArray[np.float64]
    rings: NDArray[np.float64]
    follow: NDArray[np.float64]
    triangles: NDArray[np.int64]
    outer: int

    @property
    def points(self) -> NDArray[np.float64]:
        """float64 (478 + 1 + 48 + 288, 3): landmarks, middle of the outline, outline, rings."""
        return self.assemble(self.landmarks, self.outline, self.rings)

    def on_outline(self, landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
        """The outline's points (48, 3) of moved landmarks (478, 3)."""
        ends = landmarks[self.outline_ends]
        return np.asarray(ends[:, 0] + self.outline_share[:, None] * (ends[:, 1] - ends[:, 0]))

    @staticmethod
    def assemble(
        landmarks: NDArray[np.float64], outline: NDArray[np.float64], rings: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """All points in the order of `triangles`."""
        return np.concatenate([landmarks, outline.mean(axis=0, keepdims=True), outline, rings])

    @property
    def expression_share(self) -> NDArray[np.float64]:
        """float64 (288,): the share of the outline's expression that each ring point takes."""
        return np.repeat([share for _, _, share in _RINGS], _SPOKES)


def build_rig(landmarks: NDArray[np.float32], canonical: CanonicalFace) -> Rig:
    """The rig of a face's landmarks (478, 3)."""
    points = landmarks.astype(np.float64)
    axes = FaceAxes.of(landmarks)
    head = estimate_similarity(canonical.points[RIGID], points[RIGID])
    pivot = neck_of(points, head.rotation)
    outline, ends, share = _outline(points)
    rings = _rings(outline, axes, float(pivot[2]))
    triangles = np.concatenate([_outer_triangles(), _skin_triangles(canonical)])
    follow = head_share(rings[:, 0], rings[:, 1], axes)
    return Rig(points, head, axes, pivot, outline, ends, share, rings, follow, triangles, len(_outer_triangles()))


def head_share(x: NDArray[np.float64], y: NDArray[np.float64], axes: FaceAxes) -> NDArray[np.float64]:
    """Return each photo pixel's share of the head's movement: 1 on the head, falling to 0 at the base of the neck.

    Below the chin it falls faster to the sides, so that shoulders stay while the neck follows; far above and
    beside the head it ends as well.
    """
    below = axes.below_chin(x, y)
    aside = np.abs((x - axes.chin[0]) * axes.down[1] - (y - axes.chin[1]) * axes.down[0]) / axes.height
    fall = np.maximum(below + 0.12 + 0.45 * np.maximum(aside - 0.45, 0) * (below > -0.25), 0) / 0.5
    reach = np.hypot(aside, below + 0.5)
    away = np.clip((reach - 1.3) / 0.7, 0, 1)
    fall = np.maximum(np.clip(fall, 0, 1), away)
    return np.asarray(1 - fall * fall * (3 - 2 * fall), np.float64)


def _outline(
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Intersect 48 rays from the middle with the convex hull of the landmarks."""
    hull = cv2.convexHull(points[:468, :2].astype(np.float32), returnPoints=False)[:, 0]
    following = np.roll(hull, -1)
    start, edge = points[hull, :2], points[following, :2] - points[hull, :2]
    middle = (points[hull, :2].min(axis=0) + points[hull, :2].max(axis=0)) / 2
    ends, shares = [], []
    for angle in np.arange(_SPOKES) * (2 * np.pi / _SPOKES):
        ray = np.array([np.cos(angle), np.sin(angle)])
        across = ray[0] * edge[:, 1] - ray[1] * edge[:, 0]
        across = np.where(np.abs(across) < 1e-9, 1e-9, across)
        offset = start - middle
        along = (offset[:, 0] * edge[:, 1] - offset[:, 1] * edge[:, 0]) / across
        share = (offset[:, 0] * ray[1] - offset[:, 1] * ray[0]) / across
        crossing = (along > 0) & (share >= -1e-6) & (share <= 1 + 1e-6)
        hit = int(np.argmax(np.where(crossing, along, -np.inf)))
        ends.append((hull[hit], following[hit]))
        shares.append(float(np.clip(share[hit], 0, 1)))
    ends_array, share_array = np.array(ends, np.int64), np.array(shares)
    pairs = points[ends_array]
    return pairs[:, 0] + share_array[:, None] * (pairs[:, 1] - pairs[:, 0]), ends_array, share_array


def _rings(outline: NDArray[np.float64], axes: FaceAxes, back: float) -> NDArray[np.float64]:
    middle = (outline[:, :2].min(axis=0) + outline[:, :2].max(axis=0)) / 2
    outward = outline[:, :2] - middle
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    rings = []
    for distance, depth, _ in _RINGS:
        xy = outline[:, :2] + outward * distance * axes.height
        z = outline[:, 2] + depth * (back - outline[:, 2])
        rings.append(np.column_stack([xy, z]))
    return np.concatenate(rings)


def _outer_triangles() -> NDArray[np.int64]:
    """Outermost ring first, then inwards, last the fan that fills the outline under the face."""
    middle, first = 478, 479
    spokes = np.arange(_SPOKES)
    following = (spokes + 1) % _SPOKES
    parts = []
    for ring in reversed(range(len(_RINGS))):
        inner, outer = first + ring * _SPOKES, first + (ring + 1) * _SPOKES
        parts.append(np.column_stack([inner + spokes, outer + spokes, outer + following]))
        parts.append(np.column_stack([inner + spokes, outer + following, inner + following]))
    parts.append(np.column_stack([np.full(_SPOKES, middle), first + spokes, first + following]))
    return np.concatenate(parts)


def _skin_triangles(canonical: CanonicalFace) -> NDArray[np.int64]:
    """The face's triangles without those across the open mouth, which are drawn by `mouth`, first the mouth's."""
    inside = np.isin(canonical.triangles, INNER_LIPS).all(axis=1)
    return np.concatenate([canonical.triangles[inside], canonical.triangles[~inside]])
