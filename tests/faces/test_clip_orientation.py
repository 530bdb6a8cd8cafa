"""Clips with sideways or upside-down faces are rotated; others are read once, as they are."""

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fantasyportrait.faces.clip_orientation import UprightDecoder
from fantasyportrait.faces.orientation import roll_degrees
from fantasyportrait.media.clips import read_clip
from fantasyportrait.media.decoder import LocalDecoder
from fantasyportrait.media.writer import VideoWriter
from fantasyportrait.schema.cast import ClipSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator
from fantasyportrait.service.listing import list_clip
from tests.conftest import Inputs

RATE = Fraction(25)


def turned_clip(clip: Path, quarters: int, path: Path) -> Path:
    """The clip rotated counter-clockwise, as from a camera without an orientation sensor."""
    frames = [np.ascontiguousarray(np.rot90(frame, quarters)) for frame in read_clip(clip, RATE)]
    with VideoWriter(path, (frames[0].shape[1], frames[0].shape[0]), RATE) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.mark.parametrize(("quarters", "said"), [
    (1, "90 degrees clockwise"), (2, "180 degrees"), (3, "90 degrees counter"),
])  # fmt: skip
def test_rotated_clip_is_tracked_upright_with_message(inputs: Inputs, tmp_path: Path, quarters: int, said: str) -> None:
    animator = Animator()
    clip = turned_clip(inputs.talking, quarters, tmp_path / "turned.mp4")
    (track,), (straight,) = animator.inputs.tracks(clip), animator.inputs.tracks(inputs.talking)
    assert track.size == straight.size and len(track) == len(straight)
    assert np.abs(track.landmarks - straight.landmarks).mean() < 0.03 * straight.size[1]
    listing = list_clip(animator.inputs, clip)
    assert f"turned.mp4 was turned by {said}" in listing.messages[0]
    assert listing.picture.shape[:2] == track.size[::-1]
    # Another process finds it again.
    again = Animator()
    assert np.array_equal(again.inputs.tracks(clip)[0].landmarks, track.landmarks)


def test_side_by_side_shows_rotated_clip_upright(inputs: Inputs, tmp_path: Path) -> None:
    clip = turned_clip(inputs.talking, 1, tmp_path / "turned.mp4")
    request = AnimationRequest(inputs.photo, (Role(1, ClipSource(clip)),), duration=0.4)
    result = Animator().animate(request, tmp_path / "out.mp4")
    assert any("turned.mp4 was turned by 90 degrees" in message for message in result.messages)
    straight = AnimationRequest(inputs.photo, (Role(1, ClipSource(inputs.talking)),), duration=0.4)
    other = Animator().animate(straight, tmp_path / "straight.mp4")
    shown, expected = (next(read_clip(side)) for side in (result.side_by_side, other.side_by_side) if side is not None)
    assert shown.shape == expected.shape


def test_upright_clip_is_not_read_again(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing was to be looked at")

    monkeypatch.setattr("fantasyportrait.faces.clip_orientation.best_orientation", refuse)
    animator = Animator()
    (track,) = animator.inputs.tracks(inputs.talking)
    assert abs(roll_degrees(track.landmarks[0])) < 30 and animator.inputs.decoder.rotation_of(inputs.talking) == 0


def test_decoder_rotates_frames_and_keeps_repeats(inputs: Inputs) -> None:
    decoder = UprightDecoder(LocalDecoder())
    before, (_, first) = decoder.probe(inputs.talking), next(decoder.frames(inputs.talking))
    decoder.set_rotation(inputs.talking, 90)
    info = decoder.probe(inputs.talking)
    assert (info.width, info.height) == (before.height, before.width)
    frames = [pixels for _, pixels in decoder.frames(inputs.talking, Fraction(100), 0.0, 0.2)]
    assert np.array_equal(frames[0], np.rot90(first, -1))
    assert len({id(frame) for frame in frames}) < len(frames)


def test_replaced_file_is_not_rotated(inputs: Inputs, tmp_path: Path) -> None:
    decoder = UprightDecoder(LocalDecoder())
    clip = Path(shutil.copy(inputs.talking, tmp_path / "clip.mp4"))
    decoder.set_rotation(clip, 90)
    assert decoder.rotation_of(clip) == 90
    clip.write_bytes(inputs.talking.read_bytes() + bytes(8))
    assert decoder.rotation_of(clip) == 0


def test_rotations_are_kept_for_recent_clips(tmp_path: Path) -> None:
    decoder = UprightDecoder(LocalDecoder())
    for number in range(1000):
        decoder.set_rotation(tmp_path / str(number), 90)
        assert decoder.rotation_of(tmp_path / "0") == 90
    assert len(decoder._rotations) < 300 and decoder.rotation_of(tmp_path / "999") == 90


def test_the_sideways_case(cases_dir: Path) -> None:
    animator = Animator()
    (track,) = animator.inputs.tracks(cases_dir / "08_driver_sideways.mp4")
    assert animator.inputs.decoder.rotation_of(cases_dir / "08_driver_sideways.mp4") == 90
    assert abs(roll_degrees(track.landmarks[0])) < 30 and track.valid.mean() > 0.9
