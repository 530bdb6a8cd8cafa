"""Built-in motions: shapes, seamless loops, speed, and the movement of each name."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.geometry import estimate_similarity, euler_angles
from fantasyportrait.faces.mesh import (
    INNER_LIPS,
    LEFT_EYE,
    LEFT_IRIS,
    LID_PAIRS,
    LIP_PAIRS,
    RIGHT_EYE,
    RIGID,
    CanonicalFace,
    read_canonical_face as read_face,
)
from fantasyportrait.motion.blendshapes import BLENDSHAPE_NAMES, blendshape_basis, blendshape_indices
from fantasyportrait.motion.builtin import builtin_motion
from fantasyportrait.motion.keyframe_motions import KEYFRAME_MOTIONS
from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS
from fantasyportrait.schema.face_motion import FaceMotion

RATE = Fraction(25)
STEP_CM = 1.3  # of any point in 1/25 s: the quickest part is the jaw's end in speech


@pytest.fixture(scope="module")
def canonical(models_dir: Path) -> CanonicalFace:
    return read_face(models_dir / "geometry_pipeline_metadata_landmarks.binarypb")


def angles(motion: FaceMotion) -> NDArray[np.float64]:
    """Pitch, yaw, roll (T, 3) of the head since the neutral face."""
    fits = [estimate_similarity(motion.neutral[RIGID], points[RIGID]) for points in motion.landmarks]
    return np.array([euler_angles(fit.rotation) for fit in fits])


def levelled(motion: FaceMotion) -> NDArray[np.float64]:
    """Landmarks (T, 478, 3) with the head's movement taken out."""
    return np.array([estimate_similarity(p[RIGID], motion.neutral[RIGID]).apply(p) for p in motion.landmarks])


def opening(points: NDArray[np.float64], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean distance (T,) of pairs of points."""
    return np.linalg.norm(points[:, pairs[:, 0]] - points[:, pairs[:, 1]], axis=2).mean(axis=1)


def steps(motion: FaceMotion) -> NDArray[np.float64]:
    """Largest movement (T,) of any point to the next frame; the last one is that back to the first."""
    return np.linalg.norm(np.roll(motion.landmarks, -1, axis=0) - motion.landmarks, axis=2).max(axis=1)


@pytest.mark.parametrize("name", BUILTIN_MOTIONS)
@pytest.mark.parametrize("frames", [1, 7, 50, 251])
def test_is_shaped_neutral_at_first_seamless_and_smooth(name: str, frames: int, canonical: CanonicalFace) -> None:
    motion = builtin_motion(name, frames, RATE, canonical)
    assert motion.landmarks.shape == (frames, 478, 3) and motion.blendshapes.shape == (frames, 52)
    assert motion.landmarks.dtype == motion.blendshapes.dtype == np.float32
    assert np.isfinite(motion.landmarks).all() and motion.mouths is None
    assert motion.blendshapes.min() >= 0 and motion.blendshapes.max() <= 1
    assert np.abs(motion.landmarks[0] - motion.neutral).max() < 0.05
    way = steps(motion)
    assert way.max() < STEP_CM
    assert frames == 1 or way[-1] <= way[:-1].max()


@pytest.mark.parametrize("name", BUILTIN_MOTIONS)
def test_lids_and_lips_never_cross(name: str, canonical: CanonicalFace) -> None:
    points = levelled(builtin_motion(name, 130, RATE, canonical))
    for upper, lower in (*LID_PAIRS, *LIP_PAIRS):
        assert (points[:, lower] - points[:, upper])[:, 1].min() > -0.02


@settings(max_examples=25)
@given(st.sampled_from(sorted(BUILTIN_MOTIONS)), st.integers(8, 400), st.sampled_from([12, 24, 25, 30, 50, 60]))
def test_any_length_and_rate_loops_smoothly(canonical: CanonicalFace, name: str, frames: int, rate: int) -> None:
    way = steps(builtin_motion(name, frames, Fraction(rate), canonical))
    assert way[-1] <= way[:-1].max() + 0.01
    assert way.max() < STEP_CM * 25 / min(rate, 25)


@pytest.mark.parametrize("name", BUILTIN_MOTIONS)
def test_motion_is_independent_of_rate(name: str, canonical: CanonicalFace) -> None:
    slow = builtin_motion(name, 90, RATE, canonical)
    fast = builtin_motion(name, 180, 2 * RATE, canonical)
    np.testing.assert_allclose(fast.landmarks[::2], slow.landmarks, atol=1e-4)
    np.testing.assert_allclose(fast.blendshapes[::2], slow.blendshapes, atol=1e-5)


def test_is_deterministic_and_cycles_differ(canonical: CanonicalFace) -> None:
    once, again = (builtin_motion("nod", 240, RATE, canonical).landmarks for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert np.abs(once[:80] - once[80:160]).max() > 0.1


@pytest.mark.parametrize("name, closed", [("blink", (True, True)), ("wink", (False, True)), ("yawn", (True, True))])
def test_eyes_close(name: str, closed: tuple[bool, bool], canonical: CanonicalFace) -> None:
    points = levelled(builtin_motion(name, 80, RATE, canonical))
    rest = opening(canonical.points[None], LID_PAIRS[:7])[0]
    right, left = opening(points, LID_PAIRS[:7]) / rest, opening(points, LID_PAIRS[7:]) / rest
    assert (right.min() < 0.1, left.min() < 0.1) == closed
    assert closed[0] or right.min() > 0.6


def test_idle_blinks_are_short_and_whole(canonical: CanonicalFace) -> None:
    scores = builtin_motion("idle", 1500, RATE, canonical).blendshapes[:, blendshape_indices("eyeBlink")[0]]
    closing = np.flatnonzero((scores[1:] > 0.02) & (scores[:-1] <= 0.02))
    assert 12 <= len(closing) <= 24
    assert np.diff(closing).std() > 10
    assert all(scores[at : at + 9].max() > 0.65 and scores[at + 10] < 0.02 for at in closing)


@pytest.mark.parametrize(
    "name, least", [("talk", 0.6), ("sing", 0.9), ("yawn", 1.8), ("laugh", 0.8), ("surprise", 1.0)]
)
def test_mouth_opens(name: str, least: float, canonical: CanonicalFace) -> None:
    points = levelled(builtin_motion(name, 150, RATE, canonical))
    assert (points[:, 14, 1] - points[:, 13, 1]).max() > least + canonical.points[14, 1] - canonical.points[13, 1]
    moved = np.abs(points - canonical.points)[:, [*RIGHT_EYE[[0, 8]], 4, 10]].max()
    assert moved < 0.2, "the jaw must leave eyes, nose and forehead"


def test_talk_moves_the_mouth_three_to_five_times_a_second(canonical: CanonicalFace) -> None:
    jaw = builtin_motion("talk", 1000, RATE, canonical).blendshapes[:, BLENDSHAPE_NAMES.index("jawOpen")]
    peaks = np.flatnonzero((jaw[1:-1] > jaw[:-2]) & (jaw[1:-1] >= jaw[2:]) & (jaw[1:-1] > 0.05))
    between = np.diff(peaks) / 25
    assert 0.2 < np.median(between) < 0.34 and between.std() > 0.05
    assert (between > 0.5).sum() > 8, "speech has pauses"


def test_heads_turn(canonical: CanonicalFace) -> None:
    yaw = angles(builtin_motion("shake", 100, RATE, canonical))[:, 1]
    turns = np.sign(yaw[np.abs(yaw) > 3])
    assert (np.diff(turns) != 0).sum() >= 3 and 8 < np.abs(yaw).max() < 15
    pitch = angles(builtin_motion("nod", 100, RATE, canonical))[:, 0]
    assert 6 < pitch.max() < 12
    nod = builtin_motion("nod", 100, RATE, canonical)
    down = nod.landmarks[pitch.argmax(), 1, 1] - nod.neutral[1, 1]
    assert down > 0.5, "a positive pitch lowers the nose"


def test_mouths_smile_frown_and_kiss(canonical: CanonicalFace) -> None:
    corners = INNER_LIPS[[0, 10]]
    rest = canonical.points[corners]
    smile, frown, kiss = (
        levelled(builtin_motion(name, 95, RATE, canonical))[:, corners] for name in ("smile", "frown", "kiss")
    )
    assert (smile - rest)[..., 1].min(axis=0).max() < -0.3, "both corners rise"
    assert (frown - rest)[..., 1].max(axis=0).min() > 0.2, "both corners fall"
    width = kiss[:, 1, 0] - kiss[:, 0, 0]
    assert width.min() < 0.7 * (rest[1, 0] - rest[0, 0])


def test_look_around_moves_the_iris_both_ways_within_the_eye(canonical: CanonicalFace) -> None:
    points = levelled(builtin_motion("look_around", 100, RATE, canonical))
    centre = points[:, LEFT_IRIS[0]] - canonical.points[LEFT_IRIS[0]]
    assert centre[:, 0].min() < -0.3 and centre[:, 0].max() > 0.3 and centre[:, 1].min() < -0.15
    corners = points[:, LEFT_EYE[[8, 0]], 0]
    assert (corners[:, 0] < points[:, LEFT_IRIS[0], 0]).all() and (points[:, LEFT_IRIS[0], 0] < corners[:, 1]).all()


def test_shapes_are_symmetric_and_do_not_fold(canonical: CanonicalFace) -> None:
    basis = blendshape_basis(canonical)
    points = canonical.points.astype(np.float64)
    mirror = np.linalg.norm(points[:, None] * [-1, 1, 1] - points[None], axis=2).argmin(axis=1)
    other = [BLENDSHAPE_NAMES.index(_other_side(name)) for name in BLENDSHAPE_NAMES]
    np.testing.assert_allclose(basis[other][:, mirror] * [-1, 1, 1], basis, atol=1e-9)
    a, b, c = canonical.triangles.T
    for shape in (np.zeros_like(points), *basis):
        x, y, _ = np.moveaxis(points + shape, 1, 0)
        area = (x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a])
        if not shape.any():
            rest = area
        opened = np.sign(rest) * area
        assert opened[np.abs(rest) > 0.05].min() > -0.02


def _other_side(name: str) -> str:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name


def test_unknown_name_and_empty_length_are_refused(canonical: CanonicalFace) -> None:
    with pytest.raises(RequestError, match=r"'smil' \(did you mean smile\?\).*nod"):
        builtin_motion("smil", 10, RATE, canonical)
    with pytest.raises(RequestError, match="at least one frame"):
        builtin_motion("smile", 0, RATE, canonical)


def test_every_built_in_motion_has_keys_and_description() -> None:
    assert set(KEYFRAME_MOTIONS) == set(BUILTIN_MOTIONS) and len(BUILTIN_MOTIONS) >= 14
    assert all(about and "\n" not in about for about in BUILTIN_MOTIONS.values())
