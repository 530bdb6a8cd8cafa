"""Loops without a seam, and the liveliest part of motions."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from fantasyportrait.motion.looping import liveliest_start, movement, seamless_loop
from fantasyportrait.schema.face_motion import FaceMotion


def _motion(heights: NDArray[np.float32], mouths: int = 0) -> FaceMotion:
    """A face whose points all lie at `heights` (T,) in each row; its neutral face is 10 high."""
    landmarks = np.zeros((len(heights), 478, 3), np.float32)
    landmarks[:, :, 1] = heights[:, None]
    neutral = np.zeros((478, 3), np.float32)
    neutral[152, 1] = 10
    pictures = np.zeros((mouths, 48, 80, 3), np.uint8) if mouths else None
    scores = np.repeat(heights[:, None], 52, axis=1)
    return FaceMotion(neutral, np.zeros(52, np.float32), landmarks, scores, pictures)


@given(st.integers(0, 12), st.integers(1, 40), st.integers(0, 50))
def test_loop_never_jumps_farther_than_its_motion(lead_in: int, more: int, start: int) -> None:
    frames = lead_in + more
    ramp = np.arange(200, dtype=np.float32)  # the hardest case: it never comes back by itself
    loop = seamless_loop(_motion(ramp, 200), np.arange(start, start + lead_in + frames), lead_in)
    heights = loop.landmarks[:, 0, 1]
    assert len(loop) == frames and np.array_equal(loop.blendshapes[:, 0], heights)
    assert np.array_equal(heights[:more], ramp[start + lead_in : start + lead_in + more])
    steps = np.abs(np.diff(np.append(heights, heights[0])))
    assert steps.max() <= max(1, 2.2 * frames / (lead_in + 1))
    assert loop.mouth_indices is not None
    assert loop.mouth_indices.min() >= start and loop.mouth_indices.max() < start + lead_in + frames


def test_loop_of_a_periodic_motion_is_that_motion() -> None:
    wave = np.sin(np.arange(100) * 2 * np.pi / 25).astype(np.float32)
    loop = seamless_loop(_motion(wave), np.arange(10, 43), 8)
    assert np.allclose(loop.landmarks[:, 0, 1], wave[18:43], atol=1e-5)


@pytest.mark.parametrize(("rows", "lead_in"), [(0, 0), (8, 8), (10, 6), (4, -1)])
def test_loop_shorter_than_its_lead_in_is_refused(rows: int, lead_in: int) -> None:
    with pytest.raises(ValueError, match="give no loop"):
        seamless_loop(_motion(np.zeros(20, np.float32)), np.arange(rows), lead_in)


def test_movement_is_measured_in_face_heights() -> None:
    assert np.allclose(
        movement(_motion(np.array([0, 5, 5, 4], np.float32)), np.array([0, 1, 2, 3, 0])), [0.5, 0, 0.1, 0.4]
    )


@given(st.integers(0, 60), st.integers(2, 17), st.integers(0, 10))
def test_liveliest_loop_holds_the_movement_and_begins_calmly(at: int, more: int, lead_in: int) -> None:
    moves = np.zeros(100)
    place = lead_in + at
    moves[place] = 1.0
    start = liveliest_start([moves, np.zeros(100)], lead_in + more, lead_in)
    assert start >= lead_in and moves[start : start + more - 1].sum() == 1.0
    if more > 3 and place >= lead_in + 2:
        assert moves[max(start - 2, 0) : start + 2].sum() == 0, "the movement is not at the beginning"


def test_liveliest_part_of_still_faces_is_the_first() -> None:
    assert liveliest_start([], 25, 8) == liveliest_start([np.zeros(50)], 25, 8) == 8
    for frames, transitions in ((25, 31), (9, 99)):
        with pytest.raises(ValueError, match="have no loop"):
            liveliest_start([np.zeros(transitions)], frames, 8)
