"""The rig: outline, rings, and the reach of the head's movement."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from fantasyportrait.core.geometry import rotation_matrix
from fantasyportrait.faces.mesh import INNER_LIPS, CanonicalFace
from fantasyportrait.preview.raster import Window, triangle_map
from fantasyportrait.preview.rig import Rig, build_rig, head_share
from tests.preview.scene import Scene


@pytest.fixture(scope="module")
def rigs(scene: Scene) -> list[Rig]:
    """The rigs of both people and of the mean face."""
    mean = scene.canonical.points * 8 + np.array([160, 140, 0], np.float32)
    return [build_rig(points, scene.canonical) for points in (*(f.landmarks for f in scene.faces), mean)]


def hull_of(rig: Rig) -> NDArray[np.float32]:
    """Convex hull of the landmarks."""
    return cv2.convexHull(rig.landmarks[:468, :2].astype(np.float32))


def distances(hull: NDArray[np.float32], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far inside the hull points (N, >= 2) lie."""
    return np.array([cv2.pointPolygonTest(hull, (float(p[0]), float(p[1])), True) for p in points])


def below(rig: Rig, heights: NDArray[np.float64], aside: float = 0.0) -> NDArray[np.float64]:
    """Head share at places below the chin, in face heights."""
    across = np.array([rig.axes.down[1], -rig.axes.down[0]])
    place = rig.axes.chin + rig.axes.height * (heights[:, None] * rig.axes.down + aside * across)
    return head_share(place[:, 0], place[:, 1], rig.axes)


def test_outline_lies_on_hull_and_follows_landmarks(rigs: list[Rig]) -> None:
    for rig in rigs:
        assert np.abs(distances(hull_of(rig), rig.outline)).max() < 0.01
        np.testing.assert_allclose(rig.on_outline(rig.landmarks), rig.outline, atol=1e-9)
        np.testing.assert_allclose(rig.on_outline(rig.landmarks + 7), rig.outline + 7, atol=1e-9)


def test_rings_are_nested_and_outermost_rests(rigs: list[Rig]) -> None:
    for rig in rigs:
        away = -distances(hull_of(rig), rig.rings).reshape(-1, len(rig.outline))
        assert away.min() > 0 and (np.diff(away, axis=0) > 0).all()
        assert away[-1].min() > rig.axes.height
        assert rig.follow.min() >= 0 and rig.follow.max() <= 1
        assert rig.expression_share.shape == rig.follow.shape and (np.diff(rig.expression_share) <= 0).all()


def test_triangles_cover_head_and_rest_in_place(rigs: list[Rig]) -> None:
    for rig in rigs:
        assert rig.points.shape == (478 + 1 + 48 + 288, 3)
        assert rig.triangles.min() >= 0 and rig.triangles.max() < len(rig.points) and 0 < rig.outer < len(rig.triangles)
        window = Window.around(rig.outline, 0.6 * rig.axes.height, (2000, 2000))
        map_x, map_y, numbers = triangle_map(rig.points[:, :2], rig.points[:, :2], rig.triangles, window)
        assert numbers.min() > 0
        y, x = np.mgrid[window.top : window.bottom, window.left : window.right]
        away = np.hypot(map_x - x, map_y - y)
        # Slivers under a quarter of a pixel take one colour.
        assert np.mean(away > 0.05) < 0.01 and away.max() < 0.1 * rig.axes.width


def test_the_mouths_triangles_are_drawn_before_the_lips(rigs: list[Rig]) -> None:
    for rig in rigs:
        inside = np.isin(rig.triangles[rig.outer :], INNER_LIPS).all(axis=1)
        assert inside.any() and not inside[np.count_nonzero(inside) :].any()


def test_head_share_is_1_on_face_and_0_at_neck_base(rigs: list[Rig]) -> None:
    for rig in rigs:
        upper = rig.landmarks[rig.axes.below_chin(rig.landmarks[:, 0], rig.landmarks[:, 1]) < -0.2]
        np.testing.assert_allclose(head_share(upper[:, 0], upper[:, 1], rig.axes), 1)
        assert head_share(rig.landmarks[:, 0], rig.landmarks[:, 1], rig.axes).min() > 0.7
        assert (below(rig, np.array([0.42, 0.6, 1.0, 4.0])) == 0).all()
        assert (below(rig, np.array([-3.0, 0.0, 3.0]), aside=2.5) == 0).all()
        assert below(rig, np.array([-3.0])) == 0


@pytest.mark.parametrize("aside", [0.0, 0.3, 0.8])
def test_the_share_falls_steadily_below_the_chin(rigs: list[Rig], aside: float) -> None:
    for rig in rigs:
        share = below(rig, np.linspace(-0.2, 1.0, 60), aside)
        assert (np.diff(share) <= 1e-9).all() and np.abs(np.diff(share)).max() < 0.1


@settings(max_examples=60)
@given(st.floats(-50, 50), st.floats(-89, 89), st.floats(-180, 180), st.floats(1, 60))
def test_any_turn_has_a_rig(canonical: CanonicalFace, pitch: float, yaw: float, roll: float, scale: float) -> None:
    points = canonical.points @ rotation_matrix(pitch, yaw, roll).T * scale + 400
    rig = build_rig(points.astype(np.float32), canonical)
    assert np.isfinite(rig.points).all() and np.isfinite(rig.follow).all()
    assert np.abs(distances(hull_of(rig), rig.outline)).max() < 0.01 * scale + 0.01
    assert rig.follow.min() >= 0 and rig.follow.max() <= 1
    turned = rotation_matrix(pitch, yaw, roll)
    np.testing.assert_allclose(rig.head.rotation, turned, atol=1e-3)
