"""A picture's motion is its expression, measured from the same face at rest."""

from pathlib import Path

import numpy as np
import pytest

from fantasyportrait.core.geometry import estimate_similarity
from fantasyportrait.engines.base import canonical_face
from fantasyportrait.faces.mesh import RIGID, CanonicalFace, lip_opening
from fantasyportrait.motion.blendshapes import blendshape_basis, blendshape_indices
from fantasyportrait.motion.from_track import motion_from_track
from fantasyportrait.motion.neutral import close_mouth, without_expression
from fantasyportrait.schema.face import Track


@pytest.fixture(scope="module")
def canonical(models_dir: Path) -> CanonicalFace:
    return canonical_face(models_dir)


def _acting(canonical: CanonicalFace, name: str, weight: float) -> tuple[np.ndarray, np.ndarray]:
    """A face of 100 px that acts one shape, and its scores."""
    scores = np.zeros(52, np.float32)
    scores[list(blendshape_indices(name))] = weight
    shut, _ = close_mouth(canonical.points.astype(np.float64), canonical)  # the mean face's own mouth is a little open
    points = shut + np.tensordot(scores, blendshape_basis(canonical), axes=1)
    return (points * 8 + 200).astype(np.float32), scores


@pytest.mark.parametrize("name", ["mouthSmile", "browInnerUp", "mouthPucker", "browDown", "mouthFrown", "eyeBlink"])
def test_resting_face_has_no_expression(canonical: CanonicalFace, name: str) -> None:
    acted, scores = _acting(canonical, name, 0.95)
    neutral, _ = _acting(canonical, name, 0.0)
    calm, rest = without_expression(acted, scores, canonical)
    assert np.linalg.norm(calm - neutral, axis=1).max() < 0.6 * np.linalg.norm(acted - neutral, axis=1).max()
    assert rest[list(blendshape_indices(name))].max() < 0.5


def test_an_open_mouth_is_shut_at_rest(canonical: CanonicalFace) -> None:
    acted, scores = _acting(canonical, "jawOpen", 0.8)
    calm, _ = without_expression(acted, scores, canonical)
    assert lip_opening(calm[:, :2]) < 0.1 < lip_opening(acted[:, :2])


def test_a_calm_face_stays_as_it_is(canonical: CanonicalFace) -> None:
    shut, _ = _acting(canonical, "mouthSmile", 0.0)
    calm, rest = without_expression(shut, np.full(52, 0.1, np.float32), canonical)
    assert np.abs(calm - shut).max() < 1e-3 and (rest == np.float32(0.1)).all()


def test_a_track_of_one_row_moves_relative_to_its_rest(canonical: CanonicalFace) -> None:
    acted, scores = _acting(canonical, "mouthSmile", 0.9)
    track = Track(1, (480, 480), acted[None], scores[None], np.ones(1, np.bool_), np.zeros((1, 48, 80, 3), np.uint8))
    motion = motion_from_track(track, canonical)
    assert len(motion) == 1 and np.array_equal(motion.landmarks[0], acted)
    corners = [61, 291]
    lift = motion.neutral[corners, 1] - motion.landmarks[0, corners, 1]
    assert (lift > 2).all()
    turn = estimate_similarity(motion.neutral[RIGID], motion.landmarks[0][RIGID]).rotation
    assert np.abs(turn - np.eye(3)).max() < 0.02
