"""Track to motion: the frame that motion is measured from, mirrors, smoothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fantasyportrait.core.geometry import bounding_box
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.mesh import RIGID, CanonicalFace, mirrored_blendshapes, mirrored_points
from fantasyportrait.motion.blendshapes import BLENDSHAPE_NAMES, blendshape_indices
from fantasyportrait.motion.from_track import motion_from_track
from fantasyportrait.schema.face import Face, HeadPose, Track
from fantasyportrait.schema.face_motion import FaceMotion
from tests.faces.factories import turned_track

YAWS = [20.0, 14.0, -3.0, 9.0, 30.0, -25.0]
CALM = 2


@pytest.fixture(scope="module")
def canonical(models_dir: Path) -> CanonicalFace:
    """The mean face."""
    return FaceModels(models_dir).canonical_face()


@pytest.fixture(scope="module")
def track(canonical: CanonicalFace) -> Track:
    """A head that turns about; the third frame is the calmest."""
    return turned_track(canonical, YAWS)


def measured_from(motion: FaceMotion, frame: int) -> bool:
    """True if motion is measured from this frame (with its mouth shut and its smile undone)."""
    away = np.abs(motion.landmarks - motion.neutral)[:, RIGID].mean(axis=(1, 2))
    return bool(away.argmin() == frame and away[frame] < 0.5)


def scored(track: Track, name: str, values: list[float]) -> Track:
    """The track with a blendshape's scores."""
    scores = track.blendshapes.copy()
    scores[:, blendshape_indices(name)] = np.array(values, np.float32)[:, None]
    return replace(track, blendshapes=scores)


def mirrored(track: Track, canonical: CanonicalFace) -> Track:
    """The track of the mirrored clip."""
    return replace(
        track,
        landmarks=mirrored_points(track.landmarks, track.size[0], canonical.mirror),
        blendshapes=mirrored_blendshapes(track.blendshapes),
        mouths=track.mouths[:, :, ::-1].copy(),
    )


def test_motion_is_measured_from_the_calmest_frame(track: Track, canonical: CanonicalFace) -> None:
    motion = motion_from_track(track, canonical, smoothing=0)
    assert measured_from(motion, CALM) and len(motion) == len(YAWS)
    np.testing.assert_array_equal(motion.landmarks, track.landmarks)
    np.testing.assert_array_equal(motion.blendshapes, track.blendshapes)
    assert motion.mouths is not None
    np.testing.assert_array_equal(motion.mouths, track.mouths)


@pytest.mark.parametrize("name", ["eyeBlink", "mouthSmile", "jawOpen", "browInnerUp"])
def test_expressive_face_is_not_neutral(name: str, track: Track, canonical: CanonicalFace) -> None:
    busy = scored(track, name, [0, 0, 0.9, 0, 0, 0])
    assert not measured_from(motion_from_track(busy, canonical, smoothing=0), CALM)


def test_open_mouth_is_not_neutral(track: Track, canonical: CanonicalFace) -> None:
    points = track.landmarks.copy()
    points[CALM, [14, 17, 87, 317, 178, 402]] += [0, 20, 0]
    assert not measured_from(motion_from_track(replace(track, landmarks=points), canonical, smoothing=0), CALM)


@settings(max_examples=25)
@given(st.sets(st.integers(0, 5), max_size=5))
def test_a_filled_row_is_never_the_rest(canonical: CanonicalFace, lost: set[int]) -> None:
    motion = motion_from_track(turned_track(canonical, YAWS, lost=tuple(lost)), canonical, smoothing=0)
    calmest = min((frame for frame in range(6) if frame not in lost), key=lambda frame: abs(YAWS[frame]))
    assert measured_from(motion, calmest)


def test_best_frame_is_relaxed_without_neutral_one(track: Track, canonical: CanonicalFace) -> None:
    laughing = scored(track, "mouthSmile", [0.9] * 6)
    motion = motion_from_track(laughing, canonical, smoothing=0)
    assert motion.neutral_blendshapes[BLENDSHAPE_NAMES.index("mouthSmileLeft")] == pytest.approx(0.25)
    corners = motion.neutral[[61, 291], 1] - motion.landmarks[CALM][[61, 291], 1]
    assert (corners > 1).all(), "the corners of the mouth came down"
    np.testing.assert_array_equal(motion.landmarks, laughing.landmarks)


@settings(max_examples=15)
@given(st.integers(0, 100), st.floats(0, 1))
def test_a_mirror_of_the_mirrored_clip_is_the_clip(canonical: CanonicalFace, seed: int, smoothing: float) -> None:
    random = np.random.default_rng(seed)
    track = turned_track(canonical, [float(yaw) for yaw in random.uniform(-30, 30, 6)], pitch=4)
    track = replace(
        track,
        blendshapes=random.random((6, 52), np.float32) * np.float32(0.2),
        mouths=random.integers(0, 256, (6, 48, 80, 3), np.uint8),
    )
    plain = motion_from_track(track, canonical, smoothing=smoothing)
    twice = motion_from_track(mirrored(track, canonical), canonical, smoothing=smoothing, mirror=True)
    np.testing.assert_allclose(twice.landmarks, plain.landmarks, atol=1e-3)
    np.testing.assert_allclose(twice.neutral, plain.neutral, atol=0.05)
    np.testing.assert_array_equal(twice.blendshapes, plain.blendshapes)
    assert twice.mouths is not None and plain.mouths is not None
    np.testing.assert_array_equal(twice.mouths, plain.mouths)


def test_a_mirror_swaps_winks_and_turns(track: Track, canonical: CanonicalFace) -> None:
    scores = track.blendshapes.copy()
    left, right = BLENDSHAPE_NAMES.index("eyeBlinkLeft"), BLENDSHAPE_NAMES.index("eyeBlinkRight")
    scores[0, left] = 0.8
    motion = motion_from_track(replace(track, blendshapes=scores), canonical, smoothing=0, mirror=True)
    assert motion.blendshapes[0, right] == np.float32(0.8) and motion.blendshapes[0, left] == 0
    depth = motion.landmarks[:, 454, 2] - motion.landmarks[:, 234, 2]
    was = track.landmarks[:, 454, 2] - track.landmarks[:, 234, 2]
    np.testing.assert_allclose(depth, -was, atol=0.5)


@pytest.mark.parametrize("wanted", [0, 3, 5])
def test_a_reference_picks_the_frame_most_like_it(wanted: int, track: Track, canonical: CanonicalFace) -> None:
    smiling = scored(track, "mouthSmile", [0.5, 0.1, 0.0, 0.7, 0.2, 0.9])
    face = Face(
        id=1,
        box=bounding_box(track.landmarks[wanted]),
        landmarks=track.landmarks[wanted] * 2 + 50,
        blendshapes=smiling.blendshapes[wanted],
        pose=HeadPose(0.0, YAWS[wanted] + 1, 0.0),
        presence=1.0,
    )
    motion = motion_from_track(smiling, canonical, smoothing=0, reference=face)
    assert measured_from(motion, wanted), "and it is taken as it is, smile and all"
    np.testing.assert_array_equal(motion.neutral_blendshapes, smiling.blendshapes[wanted])
    lost = replace(smiling, valid=np.arange(6) != wanted)
    assert not measured_from(motion_from_track(lost, canonical, smoothing=0, reference=face), wanted)


def test_smoothing_leaves_the_track_alone(track: Track, canonical: CanonicalFace) -> None:
    before = track.landmarks.copy()
    motion = motion_from_track(track, canonical, smoothing=1.0)
    np.testing.assert_array_equal(track.landmarks, before)
    assert motion.landmarks.shape == before.shape and np.abs(motion.landmarks - before).max() > 0.1


def test_one_frame_is_its_own_rest(canonical: CanonicalFace) -> None:
    motion = motion_from_track(turned_track(canonical, [11.0]), canonical, smoothing=1.0)
    assert len(motion) == 1 and measured_from(motion, 0)
