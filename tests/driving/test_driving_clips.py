"""Persons, lengths and sounds of driving clips."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import FaceError, RequestError
from fantasyportrait.driving.driving_clips import (
    DrivingClip,
    build_timeline,
    check_clip_range,
    choose_frame_rate,
    choose_person,
    clip_key,
    clip_messages,
    late_start_messages,
)
from fantasyportrait.driving.soundtrack import audible_duration_s, sound_messages, sound_sources
from fantasyportrait.images.images import save_image
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.clips import probe_clip
from fantasyportrait.media.decoder import LocalDecoder
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.timeline import Timeline
from tests.driving.factories import track
from tests.factories_media import ClipSpec, grey, make_clip

RATE = Fraction(30000, 1001)
UNEVEN = [sum(25 + (7 * step) % 20 for step in range(frame)) for frame in range(40)]  # 29 frames a second
A, B = ClipSource(Path("a.mp4"), start_s=2.0), ClipSource(Path("b.mp4"))


def _clip(face: int, source: ClipSource, frames: int, has_sound: bool = True) -> DrivingClip:
    return DrivingClip(face, source, ClipInfo(source.path, 640, 480, RATE, 5.0, has_sound), track(1, frames))


def _still(face: int) -> DrivingClip:
    source = ClipSource(Path("face.jpg"))
    return DrivingClip(face, source, ClipInfo(source.path, 640, 480, Fraction(25), 0.0, False, still=True), track(1, 1))


def test_default_person_is_the_largest() -> None:
    tracks = [track(1, side=50), track(2, side=80), track(3, side=200, valid=False)]
    assert choose_person(A, tracks).person == 2
    assert choose_person(replace(A, person=3), tracks).person == 3
    with pytest.raises(FaceError, match="shows person 1, 2, 3, but the cast names person 4"):
        choose_person(replace(A, person=4), tracks)
    with pytest.raises(FaceError, match="no face was found"):
        choose_person(A, [])


def test_clip_messages_report_missing_frames() -> None:
    messages = clip_messages(_clip(1, A, 40), RATE)
    assert "a.mp4 is cut off: 1.3 s of 3.0 s could be read and are used" in messages
    assert not any("cut off" in message for message in clip_messages(_clip(1, A, 80), RATE))
    assert any(
        message.startswith("b.mp4, person 1: the clip is short") for message in clip_messages(_clip(1, B, 3), RATE)
    )


def test_clip_messages_report_long_clip_and_crowd() -> None:
    messages = clip_messages(_clip(1, A, 40), RATE, max_rows=40)
    assert any(
        "used for 1.3 s of 3.0 s, as a motion may have 40 frames: choose another part" in message
        for message in messages
    )
    assert not any("cut off" in message for message in messages)
    clip = _clip(1, B, 80)
    crowd = replace(clip, track=replace(clip.track, left_out=3))
    assert any("b.mp4: 3 more people are seen than can drive" in message for message in clip_messages(crowd, RATE))


def test_result_length_follows_request() -> None:
    clips = [_clip(1, A, 40), _clip(2, B, 90)]
    assert build_timeline("longest", RATE, clips) == Timeline(RATE, 90)
    assert build_timeline("shortest", RATE, clips) == Timeline(RATE, 40)
    assert build_timeline(8, Fraction(25), clips).frames == 200
    assert build_timeline(60.0, RATE, clips).frames == 1798
    assert build_timeline("longest", Fraction(25), []).frames == 100


def test_result_length_counts_delays_not_pictures() -> None:
    late = _clip(2, replace(B, delay_s=2.0), 60)
    still = _still(3)
    assert build_timeline("longest", RATE, [_clip(1, A, 90), late, still]) == Timeline(RATE, 120)
    assert build_timeline("shortest", RATE, [_clip(1, A, 90), late, still]) == Timeline(RATE, 90)
    assert build_timeline("longest", RATE, [still]) == build_timeline("shortest", RATE, [still]) == Timeline(RATE, 120)
    assert build_timeline("sound", RATE, [late], Fraction(3)) == Timeline(RATE, 90)
    with pytest.raises(RequestError, match="no clip has sound"):
        build_timeline("sound", RATE, [late], None)
    with pytest.raises(RequestError, match="the length of the sound is 90000"):
        build_timeline("sound", RATE, [late], Fraction(90000))


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 200), st.booleans()), min_size=1, max_size=5))
def test_build_timeline_longest_and_shortest_lengths(clips: list[tuple[float, int, bool]]) -> None:
    """ "longest" is the latest end of a moving clip, "shortest" the earliest one."""
    made = [
        _still(face) if still else _clip(face, replace(B, delay_s=delay_s), frames)
        for face, (delay_s, frames, still) in enumerate(clips, 1)
    ]
    ends = [
        round(Fraction(delay_s) * RATE + Fraction(1, 10**9)) + frames for delay_s, frames, still in clips if not still
    ]
    longest, shortest = (build_timeline(which, RATE, made).frames for which in ("longest", "shortest"))
    assert (longest, shortest) == ((max(ends), min(ends)) if ends else (120, 120))


def test_clip_starting_after_end_is_reported() -> None:
    late = _clip(2, replace(B, delay_s=4.0), 60)
    assert late_start_messages([_clip(1, A, 90), late], Timeline(RATE, 90)) == [
        "b.mp4 begins at 4 s, after the end of the video (3.0 s): face 2 only shows its first frame"
    ]
    assert late_start_messages([late], Timeline(RATE, 130)) == []


def test_picture_driver_has_no_range_or_short_message() -> None:
    still = _still(1)
    assert not any("short" in message for message in clip_messages(still, RATE))
    delayed = replace(still, source=replace(still.source, delay_s=2.0))
    assert "face.jpg is a picture: its expression is held from the beginning" in " ".join(clip_messages(delayed, RATE))
    check_clip_range(still.source, still.info)
    for part in ({"start_s": 1.0}, {"end_s": 2.0}):
        with pytest.raises(RequestError, match="is a picture, which has no start and end"):
            check_clip_range(replace(still.source, **part), still.info)


def test_person_sizes_are_pixels_of_file() -> None:
    """A face of 60 px, tracked at 640 of 1280 px, has 120 px in the file."""
    clip = DrivingClip(1, B, ClipInfo(B.path, 1280, 960, RATE, 5.0, True), track(1, 90, side=60))
    assert any(
        "only 120 px large: use a closer clip (160 px or more)" in message for message in clip_messages(clip, RATE)
    )


def test_rate_is_that_of_first_moving_clip(tmp_path: Path) -> None:
    picture = tmp_path / "face.png"
    save_image(picture, grey(90))
    spec = ClipSpec(rate=Fraction(24000, 1001))
    exact = make_clip(tmp_path / "exact.mp4", [grey(90)] * 40, spec)
    uneven = make_clip(tmp_path / "uneven.mkv", [grey(90)] * 40, ClipSpec(stamps=UNEVEN))
    fast = make_clip(tmp_path / "fast.mp4", [grey(90)] * 40, ClipSpec(rate=Fraction(1000)))

    def chosen(*paths: Path) -> tuple[Fraction, list[str]]:
        cast = tuple(Role(face, ClipSource(path)) for face, path in enumerate(paths, 1))
        request = AnimationRequest(Path("photo.png"), cast, rate="clip")
        return choose_frame_rate(
            request, {clip_key(clip): probe_clip(clip.path) for clip in request.clips}, LocalDecoder()
        )

    assert chosen(exact, uneven) == chosen(picture, exact) == (Fraction(24000, 1001), [])
    rate, (message,) = chosen(uneven, exact)
    assert (
        rate == Fraction(30000, 1001)
        and message == "uneven.mkv varies around 29.06 frames a second: the video has 29.97"
    )
    rate, (message,) = chosen(fast)
    assert rate == 240 and message == "fast.mp4 runs at 1000 frames a second: the video has 240"
    with pytest.raises(RequestError, match="still pictures"):
        chosen(picture)


def test_sound_length_mismatch_is_reported() -> None:
    request = AnimationRequest(Path("photo.png"), (Role(1, A), Role(2, B)), rate=RATE)
    clips = [_clip(1, A, 60), _clip(2, replace(B, delay_s=1.0), 60, has_sound=False)]

    def messages(frames: int, file_s: float | None = None, **changes: Any) -> list[str]:
        exact = None if file_s is None else Fraction(file_s)
        return sound_messages(replace(request, **changes), clips, Timeline(RATE, frames), exact)

    assert messages(60) == messages(62) == messages(90) == messages(90, sound="none") == []
    assert messages(30) == ["the sound of a.mp4 ends at 2.0 s and the video at 1.0 s: it is cut off there"]
    (held,) = messages(90, fill="hold")
    assert held.startswith("the sound of a.mp4 ends at 2.0 s and the video at 3.0 s") and "silence" in held
    assert messages(90, fill="pingpong") == ["ping-pong plays the sound of a.mp4 only forwards; backwards it is silent"]
    song = {"sound": "file:song.mp3#start=12.5"}
    (cut,) = messages(90, 8.2, **song)
    assert cut == "the sound of song.mp3 from 12.5 s on lasts 8.2 s and the video 3.0 s: it is cut off at the end"
    assert messages(90, 1.5, **song)[0].endswith("lasts 1.5 s and the video 3.0 s: the rest is silent")
    assert messages(90, 3.05, **song) == []


def test_sound_of_delayed_clip_is_delayed() -> None:
    cast = (Role(1, B), Role(2, replace(B, delay_s=1.0)), Role(3, replace(B, person=2, delay_s=1.0)))
    request = AnimationRequest(Path("photo.png"), cast, rate=RATE)
    clips = [_clip(role.face, role.source, 60) for role in cast]  # type: ignore[arg-type]
    sources, _ = sound_sources(request, clips, Timeline(RATE, 90))
    assert [source.delay_s for source in sources] == [0, 30 / RATE]
    assert audible_duration_s(request, clips, RATE) == 90 / RATE
    assert audible_duration_s(replace(request, sound="face:1"), clips, RATE) == 60 / RATE
    assert audible_duration_s(replace(request, sound="none"), clips, RATE) is None


def test_sound_follows_fill_of_its_clip() -> None:
    held, looped = replace(B, fill="hold"), replace(B, fill="loop")
    request = AnimationRequest(Path("photo.png"), (Role(1, looped), Role(2, held)), rate=RATE, fill="pingpong")
    clips, timeline = [_clip(1, looped, 60), _clip(2, held, 60)], Timeline(RATE, 90)
    sources, _ = sound_sources(request, clips, timeline)
    assert [source.fill for source in sources] == ["loop"]  # one clip is mixed once, where it sounds longest
    assert sound_messages(request, clips, timeline, None) == []
    (message,) = sound_messages(replace(request, sound="face:2"), clips, timeline, None)
    assert "its last frame is held in silence" in message


def test_sound_track_follows_request() -> None:
    cast = (Role(1, A), Role(2, B), Role(3, replace(A, person=2)), Role(4, BuiltinSource("nod")))
    request = AnimationRequest(Path("photo.png"), cast, rate=RATE, fill="pingpong")
    clips = [_clip(1, A, 40), _clip(2, B, 90, has_sound=False), _clip(3, cast[2].source, 40)]  # type: ignore[arg-type]
    timeline = Timeline(RATE, 90)

    def sound_files(sound: str) -> list[Path]:
        sources, messages = sound_sources(replace(request, sound=sound), clips, timeline)
        assert bool(messages) == (sound == "face:2")
        return [source.path for source in sources]

    assert sound_files("auto") == sound_files("mix") == sound_files("face:1") == [A.path]
    assert sound_files("none") == sound_files("face:2") == []
    assert sound_files("file:song.mp3") == [Path("song.mp3")]
    source = sound_sources(request, clips, timeline)[0][0]
    assert (source.start_s, source.length_s, source.fill, source.frame_s) == (2.0, 40 / RATE, "pingpong", 1 / RATE)
    song = sound_sources(replace(request, sound="file:song.mp3"), clips, timeline)[0][0]
    assert song.length_s == timeline.duration_s
    assert sound_sources(replace(request, sound="mix"), clips[1:2], timeline)[1]
