"""Persons, lengths and sounds of driving clips."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fantasyportrait.core.errors import FaceError
from fantasyportrait.faces.face import Track
from fantasyportrait.media.clips import ClipInfo
from fantasyportrait.media.timeline import Timeline
from fantasyportrait.service.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.service.driving import DrivingClip, choose_person, clip_notes, timeline_for
from fantasyportrait.service.request import AnimationRequest
from fantasyportrait.service.soundtrack import sound_sources

RATE = Fraction(30000, 1001)
A, B = ClipSource(Path("a.mp4"), start_s=2.0), ClipSource(Path("b.mp4"))


def _track(person: int, frames: int = 4, side: float = 100, valid: bool = True) -> Track:
    landmarks = np.zeros((frames, 478, 3), np.float32)
    landmarks[:, 0] = side
    return Track(
        person,
        (640, 480),
        landmarks,
        np.zeros((frames, 52), np.float32),
        np.full(frames, valid),
        np.zeros((frames, 48, 80, 3), np.uint8),
    )


def _clip(face: int, source: ClipSource, frames: int, has_sound: bool = True) -> DrivingClip:
    return DrivingClip(face, source, ClipInfo(source.path, 640, 480, RATE, 5.0, has_sound), _track(1, frames))


def test_the_largest_person_is_the_default() -> None:
    tracks = [_track(1, side=50), _track(2, side=80), _track(3, side=200, valid=False)]
    assert choose_person(A, tracks).person == 2
    assert choose_person(replace(A, person=3), tracks).person == 3
    with pytest.raises(FaceError, match="shows person 1, 2, 3, but the cast names person 4"):
        choose_person(replace(A, person=4), tracks)
    with pytest.raises(FaceError, match="no face was found"):
        choose_person(A, [])


def test_what_is_missing_is_said() -> None:
    notes = clip_notes(_clip(1, A, 40), RATE)
    assert "a.mp4 is cut off: 1.3 s of 3.0 s could be read and are used" in notes
    assert not any("cut off" in note for note in clip_notes(_clip(1, A, 80), RATE))
    assert any(note.startswith("b.mp4, person 1: the clip is short") for note in clip_notes(_clip(1, B, 3), RATE))


def test_a_long_clip_and_a_crowd_are_said() -> None:
    notes = clip_notes(_clip(1, A, 40), RATE, most_rows=40)
    assert any("used for 1.3 s of 3.0 s, as a motion may have 40 frames: choose another part" in note for note in notes)
    assert not any("cut off" in note for note in notes)
    clip = _clip(1, B, 80)
    crowd = replace(clip, track=replace(clip.track, left_out=3))
    assert any("b.mp4: 3 more people are seen than can drive" in note for note in clip_notes(crowd, RATE))


def test_the_length_of_the_result() -> None:
    clips = [_clip(1, A, 40), _clip(2, B, 90)]
    assert timeline_for("longest", RATE, clips) == Timeline(RATE, 90)
    assert timeline_for("shortest", RATE, clips) == Timeline(RATE, 40)
    assert timeline_for(8, Fraction(25), clips).frames == 200
    assert timeline_for(60.0, RATE, clips).frames == 1798
    assert timeline_for("longest", Fraction(25), []).frames == 100


def test_what_is_heard() -> None:
    cast = (Role(1, A), Role(2, B), Role(3, replace(A, person=2)), Role(4, BuiltinSource("nod")))
    request = AnimationRequest(Path("photo.png"), cast, rate=RATE, fill="pingpong")
    clips = [_clip(1, A, 40), _clip(2, B, 90, has_sound=False), _clip(3, cast[2].source, 40)]  # type: ignore[arg-type]
    timeline = Timeline(RATE, 90)

    def heard(sound: str) -> list[Path]:
        sources, notes = sound_sources(replace(request, sound=sound), clips, timeline)
        assert bool(notes) == (sound == "face:2")
        return [source.path for source in sources]

    assert heard("auto") == heard("mix") == heard("face:1") == [A.path]
    assert heard("none") == heard("face:2") == []
    assert heard("file:song.mp3") == [Path("song.mp3")]
    source = sound_sources(request, clips, timeline)[0][0]
    assert (source.start_s, source.length_s, source.fill, source.frame_s) == (2.0, 40 / RATE, "pingpong", 1 / RATE)
    song = sound_sources(replace(request, sound="file:song.mp3"), clips, timeline)[0][0]
    assert song.length_s == timeline.duration_s
    assert sound_sources(replace(request, sound="mix"), clips[1:2], timeline)[1]
