"""Extraction: a row a frame, in order, for any batch size; gaps filled and marked; mirrors; errors."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FaceError, MediaError, WeightsError
from fantasyportrait.core.geometry import bounding_box
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.mesh import CanonicalFace, mirrored_points
from fantasyportrait.motion.extract import encode_frames, encode_portrait, extract_motion
from fantasyportrait.motion.motion_nets import MotionNets
from fantasyportrait.schema.face import Face, HeadPose, Track
from fantasyportrait.schema.motion_code import FEATURE_DIM, MotionCode
from tests.faces.factories import turned_track
from tests.factories_onnx import tiny_landmark_net

YAWS = [20.0, 14.0, -3.0, 9.0, 30.0, -25.0, 0.0]
Frames = list[np.ndarray]


class PooledEncoder:
    """A linear encoder: the means of 16 x 16 tiles of the crop, spread over the features. Records its batches."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        self.batches.append(crops)
        tiles = crops.reshape(len(crops), 3, 14, 16, 14, 16).mean(axis=(3, 5)).reshape(len(crops), -1)
        return tiles[:, :FEATURE_DIM].astype(np.float32)

    def crops(self) -> np.ndarray:
        return np.concatenate(self.batches)


def mesh_nets(batch: int = 16) -> MotionNets:
    return MotionNets(PooledEncoder(), "weights", "mesh", batch)


@pytest.fixture(scope="module")
def canonical(models_dir: Path) -> CanonicalFace:
    """The mean face."""
    return FaceModels(models_dir).canonical_face()


@pytest.fixture(scope="module")
def track(canonical: CanonicalFace) -> Track:
    """A head that turns about."""
    return turned_track(canonical, YAWS)


@pytest.fixture(scope="module")
def frames() -> Frames:
    """As many different pictures."""
    random = np.random.default_rng(0)
    return [cv2.GaussianBlur(random.integers(0, 256, (480, 640, 3), np.uint8), (0, 0), 5) for _ in YAWS]


def timed(frames: Frames) -> Iterator[tuple[float, np.ndarray]]:
    return ((float(row), pixels) for row, pixels in enumerate(frames))


def extracted(frames: Frames, track: Track, nets: MotionNets | None = None, *, mirror: bool = False) -> MotionCode:
    return extract_motion(timed(frames), track, nets or mesh_nets(), mirror=mirror)


def test_a_row_for_each_frame_in_order(frames: Frames, track: Track) -> None:
    code = extracted(frames, track)
    assert len(code) == len(track) and code.valid.all()
    assert len({row.tobytes() for row in code.features}) == len(track)
    swapped = [frames[1], frames[0], *frames[2:]]
    landmarks = track.landmarks[[1, 0, 2, 3, 4, 5, 6]]
    rows = encode_frames(frames, track.landmarks, mesh_nets()).features
    np.testing.assert_allclose(encode_frames(swapped, landmarks, mesh_nets()).features[:2], rows[1::-1], atol=1e-6)


@settings(max_examples=8)
@given(st.integers(1, 9))
def test_the_batch_changes_nothing(frames: Frames, track: Track, batch: int) -> None:
    nets = mesh_nets(batch)
    np.testing.assert_array_equal(extracted(frames, track, nets).features, extracted(frames, track).features)
    assert isinstance(nets.encode, PooledEncoder)
    sizes = [len(crops) for crops in nets.encode.batches]
    assert sum(sizes) == len(track) and max(sizes) <= batch and all(size == batch for size in sizes[:-1])


@settings(max_examples=12)
@given(st.sets(st.integers(0, 6), max_size=6))
def test_lost_rows_are_filled_from_their_neighbours(canonical: CanonicalFace, frames: Frames, lost: set[int]) -> None:
    whole = extracted(frames, turned_track(canonical, YAWS))
    code = extracted(frames, turned_track(canonical, YAWS, lost=tuple(lost)))
    assert np.nonzero(~code.valid)[0].tolist() == sorted(lost)
    seen = [row for row in range(len(YAWS)) if row not in lost]
    np.testing.assert_allclose(code.features[seen], whole.features[seen], atol=1e-6)
    for column in (0, 100, 553):
        expected = np.interp(range(len(YAWS)), seen, whole.features[seen, column])
        np.testing.assert_allclose(code.features[:, column], expected, atol=1e-5)


def test_a_frame_that_shows_twice_is_encoded_once(frames: Frames, track: Track) -> None:
    nets = mesh_nets()
    shown = [frames[0], frames[0], frames[2], frames[2], frames[2], frames[5], frames[6]]
    code = extracted(shown, track, nets)
    assert isinstance(nets.encode, PooledEncoder) and len(nets.encode.crops()) == 4
    rows = [0, 0, 2, 2, 2, 5, 6]
    np.testing.assert_array_equal(code.features, code.features[rows])
    assert len(code) == len(track) and len(np.unique(code.features, axis=0)) == 4


def test_mesh_is_interpolated_at_frame_time(frames: Frames, track: Track) -> None:
    """A frame that was taken half a row later is cropped where the face was then."""
    way = np.arange(7)[:, None, None] * np.array([10, 0, 0])
    moving = replace(track, landmarks=(track.landmarks[:1] + way).astype(np.float32))
    still = replace(track, landmarks=(track.landmarks[:1] + np.float32([25, 0, 0])).repeat(7, axis=0))
    late = extract_motion(((row + 0.5, frames[0].copy()) for row in range(7)), moving, mesh_nets())
    there = extract_motion(((row, frames[0].copy()) for row in range(7)), still, mesh_nets())
    np.testing.assert_allclose(late.features[2], there.features[2], atol=0.01)
    assert np.abs(late.features[3] - there.features[3]).max() > 0.04


def test_mirroring_twice_is_identity(canonical: CanonicalFace, frames: Frames, track: Track) -> None:
    mirrored = replace(track, landmarks=mirrored_points(track.landmarks, 640, canonical.mirror))
    flipped = [np.ascontiguousarray(pixels[:, ::-1]) for pixels in frames]
    plain, twice = extracted(frames, track), extracted(flipped, mirrored, mirror=True)
    np.testing.assert_allclose(twice.features, plain.features, atol=2e-3)
    assert np.abs(extracted(frames, track, mirror=True).features - plain.features).max() > 0.1


def test_progress_and_cancel(frames: Frames, track: Track) -> None:
    steps: list[tuple[int, int]] = []
    token = CancelToken()

    def progress(done: int, total: int) -> None:
        steps.append((done, total))
        if done == 3:
            token.cancel()

    with pytest.raises(Cancelled):
        extract_motion(timed(frames), track, mesh_nets(), progress=progress, cancel=token)
    assert steps == [(1, 7), (2, 7), (3, 7)]


@pytest.mark.parametrize("count", [6, 8])
def test_frames_and_rows_must_be_as_many(count: int, frames: Frames, track: Track) -> None:
    with pytest.raises(MediaError, match="7 rows"):
        extracted((frames + frames)[:count], track)


def test_frames_of_another_size_are_refused(frames: Frames, track: Track) -> None:
    with pytest.raises(ValueError, match="320 x 240"):
        extracted([pixels[::2, ::2] for pixels in frames], track)


def test_face_lost_in_every_frame_is_an_error(canonical: CanonicalFace, frames: Frames) -> None:
    with pytest.raises(FaceError, match="every frame"):
        extracted(frames, turned_track(canonical, YAWS, lost=tuple(range(7))))


@pytest.mark.parametrize("bad", [np.zeros((7, 512), np.float32), np.full((7, 554), np.nan, np.float32)])
def test_an_encoder_that_gives_something_else_is_refused(bad: np.ndarray, frames: Frames, track: Track) -> None:
    with pytest.raises(WeightsError, match="motion encoder"):
        extracted(frames, track, MotionNets(lambda crops: bad, "bad"))


def test_drawn_frames_with_known_landmarks(frames: Frames, track: Track) -> None:
    code = encode_frames(frames, track.landmarks, mesh_nets())
    assert len(code) == len(track) and code.valid.all()
    # Nothing is smoothed: each frame alone gives the same row.
    for row in (0, 3, 6):
        alone = encode_frames(frames[row : row + 1], track.landmarks[row : row + 1], mesh_nets())
        np.testing.assert_allclose(alone.features[0], code.features[row], atol=1e-6)


def test_the_original_nets_lose_a_dark_frame(frames: Frames, track: Track, tmp_path: Path) -> None:
    nets = replace(mesh_nets(), alignment=tiny_landmark_net(tmp_path))
    dark = [*frames[:3], np.zeros_like(frames[3]), *frames[4:]]
    code = extracted(dark, track, nets)
    assert len(code) == 7 and np.nonzero(~code.valid)[0].tolist() == [3]
    np.testing.assert_allclose(code.features[3], (code.features[2] + code.features[4]) / 2, atol=1e-6)
    assert nets.key != mesh_nets().key


def face_of(landmarks: np.ndarray, size: tuple[int, int]) -> Face:
    return Face(1, bounding_box(landmarks), landmarks, np.zeros(52, np.float32), HeadPose(0, 0, 0), 1.0)


def test_portrait_code_is_one_row_at_any_size(frames: Frames, track: Track) -> None:
    landmarks = track.landmarks[6]
    small = encode_portrait(frames[0], face_of(landmarks, (640, 480)), mesh_nets())
    assert len(small) == 1 and small.valid.all()
    photo = cv2.resize(frames[0], (640 * 5, 480 * 5), interpolation=cv2.INTER_CUBIC)
    large = encode_portrait(photo, face_of((landmarks + 0.5) * 5 - np.float32(0.5), (3200, 2400)), mesh_nets())
    np.testing.assert_allclose(large.features, small.features, atol=0.02)
    np.testing.assert_allclose(small.features, encode_frames(frames[:1], landmarks[None], mesh_nets()).features)


def test_unreadable_portrait_error_advises(track: Track, tmp_path: Path) -> None:
    nets = replace(mesh_nets(), alignment=tiny_landmark_net(tmp_path))
    with pytest.raises(FaceError, match="align by the mesh"):
        encode_portrait(np.zeros((480, 640, 3), np.uint8), face_of(track.landmarks[6], (640, 480)), nets)
