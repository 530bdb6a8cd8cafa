"""The side-by-side video shows the clip frames that belong to the motion rows in use."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fantasyportrait.core.limits import PRIVATE
from fantasyportrait.driving import side_by_side_panels
from fantasyportrait.driving.driving_clips import DrivingClip
from fantasyportrait.driving.side_by_side_panels import panels
from fantasyportrait.engines.base import Scene, canonical_face
from fantasyportrait.faces.annotate import face_colour
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.clips import read_clip
from fantasyportrait.media.compose import side_by_side
from fantasyportrait.media.decoder import LocalDecoder
from fantasyportrait.motion.landmark_drawing import draw_landmarks
from fantasyportrait.schema.cast import ClipSource, Role
from fantasyportrait.schema.face import HeadPose, MaskedFace
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.timeline import FillMode, Timeline, fill_indices
from fantasyportrait.service.animator import Animator
from fantasyportrait.service.listing import list_clip
from tests.conftest import Inputs
from tests.driving.factories import track
from tests.factories_media import grey, make_clip

RATE = Fraction(30000, 1001)


@given(st.integers(1, 130), st.integers(1, 400), st.sampled_from(["loop", "hold", "pingpong"]), st.integers(0, 200))
@settings(max_examples=60)
def test_clip_frames_follow_motion_rows(length: int, total: int, fill: FillMode, delay: int) -> None:
    class Numbers(LocalDecoder):
        def frames(self, path: Path, rate: Fraction, start_s: float, *_: object) -> Iterator[tuple[float, int]]:  # type: ignore[override]
            yield from ((0.0, row) for row in range(round((start_s - 1.5) * rate), length))

    source = ClipSource(Path("a.mp4"), start_s=1.5)
    clip = DrivingClip(1, source, ClipInfo(source.path, 64, 64, RATE, 9.0, False), track(1, length))
    rows = fill_indices(length, total, fill, delay)
    reading = side_by_side_panels._Reading(Numbers(), 360)
    assert np.array_equal(list(side_by_side_panels._clip_frames(clip, RATE, rows, reading)), rows)


def test_clip_frames_hold_last_frame_of_short_stream() -> None:
    assert list(side_by_side_panels._held(iter([1, 2]), 4)) == [1, 2, 2, 2]  # type: ignore[list-item, comparison-overlap]
    assert list(side_by_side_panels._held(iter([1, 2, 3]), 2)) == [1, 2]  # type: ignore[list-item, comparison-overlap]
    assert list(side_by_side_panels._held(iter([]), 2)) == []


def test_built_in_motion_panel_draws_landmarks(models_dir: Path) -> None:
    frames = list(draw_landmarks("laugh", Timeline(Fraction(25), 10), canonical_face(models_dir)))
    assert len(frames) == 10
    assert {frame.shape for frame in frames} == {(240, 240, 3)}
    drawn = [np.any(frame != frame[0, 0], axis=2).mean() for frame in frames]
    assert min(drawn) > 0.02
    assert max(drawn) < 0.2
    changed = np.any(frames[0] != frames[5], axis=2)
    assert changed.any() and not changed[:, [*range(20), *range(-20, 0)]].any(), (
        "the face moves and the ground does not"
    )


def _face(number: int) -> MaskedFace:
    """A face of 20 px in a row of others; no landmark matters here."""
    box = np.array([30 * number, 20, 30 * number + 20, 40], np.float32)
    return MaskedFace(
        number, box, np.zeros((478, 3), np.float32), np.zeros(52, np.float32), HeadPose(0, 0, 0), 1.0,
        np.zeros((90, 400), np.uint8),
    )  # fmt: skip


@pytest.mark.parametrize("faces", [1, 3, 8, 12])
def test_panel_labels_name_driven_faces(models_dir: Path, tmp_path: Path, faces: int) -> None:
    """Each face has a clip of its own, but the last two of many share one, as two persons of it."""
    cast, clips = [], []
    for number in range(1, faces + 1):
        shared = faces > 3 and number > faces - 2
        path = tmp_path / f"{faces - 1 if shared else number}.mp4"
        if not path.exists():
            make_clip(path, [grey(100)] * 5)
        source = ClipSource(path, person=number - faces + 2 if shared else None)
        cast.append(Role(number, source))
        info = ClipInfo(path, 64, 48, Fraction(25), 0.2, False)
        seen = replace(track(source.person or 1, 5, side=30), size=(64, 48))
        clips.append(DrivingClip(number, source, info, seen))
    request = AnimationRequest(Path("photo.png"), tuple(cast))
    scene_faces = tuple(_face(number) for number in range(1, faces + 1))
    tracks = {clip.face: clip.track for clip in clips}
    scene = Scene(np.full((90, 400, 3), 200, np.uint8), scene_faces, tracks, Timeline(Fraction(25), 5), request)
    video = make_clip(tmp_path / "result.mp4", [grey(50, 400, 90)] * 5)
    counted: list[int] = []
    made = panels(scene, clips, LocalDecoder(), canonical_face(models_dir), video, counted.append)
    drivers = [panel for panel in made if panel.column == "driving"]
    assert len(drivers) == (faces if faces <= 3 else faces - 1)
    badges = [badge for panel in drivers for badge in panel.badges]
    assert badges == [(str(number), face_colour(number)) for number in range(1, faces + 1)]
    assert drivers[0].label == "1.mp4"
    source = next(panel for panel in made if panel.column == "source")
    assert source.still is not None
    for number in range(1, faces + 1):
        assert (source.still == face_colour(number)).all(axis=2).sum() > 50
    if faces > 3:
        frame = next(drivers[-1].frames)  # type: ignore[arg-type]
        assert (frame == face_colour(faces)).all(axis=2).any()  # the box of the person
    out = tmp_path / "out.side-by-side.mp4"
    side_by_side(
        out, panels(scene, clips, LocalDecoder(), canonical_face(models_dir), video, counted.append), scene.timeline
    )
    assert len(list(read_clip(out))) == 5 and counted[-5:] == [1, 2, 3, 4, 5]


def test_panel_shows_only_used_part_of_clip(inputs: Inputs, tmp_path: Path) -> None:
    animator = Animator(decoder=LocalDecoder(replace(PRIVATE, clip_length_s=0.6, track_rows=10)))
    request = AnimationRequest(inputs.photo, (Role(1, ClipSource(inputs.talking)),))
    result = animator.animate(request, tmp_path / "out.mp4")
    assert result.frames == 10 and result.side_by_side is not None
    assert len(list(read_clip(result.side_by_side))) == 10
    assert list_clip(animator.inputs, inputs.talking).rows[0]["frames"] == 10


def test_panel_label_includes_delay() -> None:
    source = ClipSource(Path("b.mp4"), delay_s=4.0)
    clip = DrivingClip(2, source, ClipInfo(source.path, 64, 48, RATE, 1.0, False), track(1, 5))
    assert side_by_side_panels._label(clip) == "b.mp4 (+4 s)"
    assert side_by_side_panels._label(replace(clip, info=replace(clip.info, still=True))) == "b.mp4"
