"""The request: its rules, and its way through JSON."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import RequestError
from fantasyportrait.motion.builtin import BUILTIN_MOTIONS
from fantasyportrait.service.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.service.request import FILLS, AnimationRequest, from_json, load_request
from fantasyportrait.service.sound_file import SoundFile, parse_sound_file

SIMPLE = AnimationRequest(Path("photo.png"), (Role(1, ClipSource(Path("a.mp4"))),))

paths = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1).map(Path)
paths = paths.filter(lambda path: path.name)
digests = st.none() | st.text("0123456789abcdef", min_size=64, max_size=64)
seconds = st.floats(0, 1000) | st.integers(0, 1000)
clips = st.builds(
    lambda path, person, start, more, digest, delay: ClipSource(
        path, person, start, start + more if more else None, digest, delay
    ),
    paths, st.none() | st.integers(1, 99), seconds, st.none() | st.floats(0.01, 100), digests, seconds,
)  # fmt: skip
roles = st.builds(
    Role,
    st.integers(1, 99),
    st.none() | clips | st.sampled_from(BUILTIN_MOTIONS).map(BuiltinSource),
    st.floats(0, 2),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
requests = st.builds(
    AnimationRequest,
    portrait=paths,
    cast=st.lists(roles, min_size=1, unique_by=lambda role: role.face).map(tuple),
    engine=st.sampled_from(["preview", "wan"]),
    duration=st.sampled_from(["longest", "shortest"]) | st.floats(0.01, 1000) | st.integers(1, 1000),
    rate=st.fractions(1, 120, max_denominator=1001),
    fill=st.sampled_from(FILLS),
    absolute=st.booleans(),
    smoothing=st.floats(0, 1),
    sound=st.sampled_from(["auto", "mix", "none"]) | st.builds(SoundFile, paths, seconds).map(str),
    max_side=st.integers(64, 8192),
    side_by_side=st.booleans(),
    portrait_sha256=digests,
)


@given(requests)
def test_json_both_ways(request: AnimationRequest) -> None:
    assert from_json(request.to_json()) == request


@pytest.mark.parametrize(
    ("sound", "path", "start_s"),
    [
        ("file:song.mp3", "song.mp3", 0.0),
        ("file:song.mp3#start=12.5", "song.mp3", 12.5),
        ("file:take #3.mp3", "take #3.mp3", 0.0),
        ("file:take #3.mp3#start=2", "take #3.mp3", 2.0),
        ("file:C:\\a.mp3#start=2", "C:\\a.mp3", 2.0),
        ("file:a#begin=2.mp3", "a#begin=2.mp3", 0.0),
    ],
)
def test_a_sound_file_may_begin_later(sound: str, path: str, start_s: float) -> None:
    request = replace(SIMPLE, sound=sound)
    assert request.own_sound == SoundFile(Path(path), start_s) and request.sound_file == Path(path)
    moved = request.with_paths(lambda given: Path("/there") / given)
    assert moved.own_sound == SoundFile(Path("/there") / path, start_s)


@given(paths, seconds)
def test_a_sound_file_is_written_as_it_is_read(path: Path, start_s: float) -> None:
    sound = SoundFile(path, start_s)
    if start_s or parse_sound_file(f"file:{path}").start_s == 0:
        assert parse_sound_file(str(sound)) == sound


@given(st.text())
def test_any_sound_is_a_request_or_a_request_error(text: str) -> None:
    for sound in (text, f"file:{text}", f"file:a.mp3#start={text}"):
        try:
            assert replace(SIMPLE, sound=sound).sound == sound
        except RequestError as error:
            assert str(error)


def test_the_rate_of_a_clip_and_the_length_of_a_sound_go_through_json() -> None:
    request = replace(SIMPLE, rate="clip", duration="sound", sound="file:a.mp3#start=1.25")
    assert from_json(request.to_json()) == request


def test_a_request_of_before_has_no_delays() -> None:
    data = json.loads(SIMPLE.to_json())
    del data["cast"][0]["source"]["delay_s"]
    assert from_json(json.dumps(data)) == SIMPLE


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)
                    | st.dictionaries(st.sampled_from([*json.loads(SIMPLE.to_json()), "other"]), inner)))  # fmt: skip
def test_any_json_is_a_request_or_a_request_error(data: object) -> None:
    for value in (data, {**json.loads(SIMPLE.to_json()), **(data if isinstance(data, dict) else {})}):
        try:
            assert isinstance(from_json(json.dumps(value)), AnimationRequest)
        except RequestError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"cast": ()}, "cast is empty"),
        ({"cast": (Role(2, None), Role(2, None))}, "face 2 is cast twice"),
        ({"cast": [Role(2, None)]}, "tuple"),
        ({"portrait": "photo.png"}, "portrait"),
        ({"portrait": Path("")}, "portrait is empty or a folder"),
        ({"duration": 0}, "duration is 0"),
        ({"duration": float("nan")}, "duration is nan"),
        ({"duration": "long"}, "longest, shortest"),
        ({"rate": 25}, "rate is 25"),
        ({"rate": Fraction(0)}, "rate"),
        ({"rate": Fraction(1000)}, "rate"),
        ({"rate": "clips"}, "'clip'"),
        ({"rate": "clip", "cast": (Role(1, BuiltinSource("smile")),)}, "the cast has no clip"),
        ({"duration": "sound", "sound": "none"}, "no clip is heard"),
        ({"duration": "sound", "cast": (Role(1, BuiltinSource("smile")),)}, "no clip is heard"),
        ({"sound": "file:a.mp3#start=-1"}, "start of a.mp3 is -1"),
        ({"sound": "file:a.mp3#start=soon"}, "give a number of seconds"),
        ({"sound": "file:#start=2"}, "the path of a sound"),
        ({"fill": "repeat"}, "loop, hold, pingpong"),
        ({"absolute": 1}, "absolute"),
        ({"smoothing": 1.5}, "smoothing is 1.5"),
        ({"sound": "loud"}, "sound is 'loud'"),
        ({"sound": "face:2"}, "face 2 has no clip"),
        ({"sound": "file:"}, "sound is 'file:'"),
        ({"sound": None}, "sound is None"),
        ({"max_side": 12}, "max_side is 12"),
        ({"max_side": 640.0}, "max_side is 640.0"),
        ({"side_by_side": None}, "side_by_side"),
        ({"engine": ""}, "engine"),
        ({"portrait_sha256": "abc"}, "sha256"),
    ],
)
def test_a_wrong_field_is_refused_in_words(change: dict[str, object], word: str) -> None:
    with pytest.raises(RequestError) as caught:
        replace(SIMPLE, **change)  # type: ignore[arg-type]
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"schema": 2}', "schema 2"),
        ('{"schema": 1}', "portrait"),
        ('{"schema": 1, "colour": 3}', "unknown key 'colour'"),
        ('{"schema": 1, "portrait": "a.png", "cast": [{"face": 1}]}', "source"),
        ('{"schema": 1, "portrait": "a.png", "cast": [{"face": 1, "source": "sleep"}]}', "source"),
        ('{"schema": 1, "portrait": "a.png", "cast": [{"face": 1, "source": {"clip": 3}}]}', "names no clip"),
        ('{"schema": 1, "portrait": "a.png", "cast": [{"face": 1, "source": {"clip": "a", "x": 1}}]}', "key 'x'"),
        ('{"schema": 1, "portrait": "a.png", "cast": [{"face": "1", "source": "still"}]}', "'1'"),
        ('{"schema": 1, "portrait": "a.png", "cast": [], "rate": "fast"}', "rate"),
    ],
)
def test_wrong_json_is_refused_in_words(text: str, word: str) -> None:
    with pytest.raises(RequestError) as caught:
        from_json(text)
    assert word in str(caught.value)


def test_a_saved_request_moves_with_its_files(tmp_path: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    outside = tmp_path / "elsewhere" / "b.mp4"
    cast = (Role(1, ClipSource(home / "clips" / "a.mp4")), Role(2, ClipSource(outside)))
    request = AnimationRequest(home / "photo.png", cast, sound=f"file:{home / 'song.wav'}")
    request.save(home / "out.request.json")
    assert '"photo.png"' in (home / "out.request.json").read_text()
    assert load_request(home / "out.request.json") == request
    home.rename(away)
    moved = load_request(away / "out.request.json")
    assert moved.portrait == away / "photo.png"
    assert [clip.path for clip in moved.clips] == [away / "clips" / "a.mp4", outside]
    assert moved.sound_file == away / "song.wav"


def test_relative_paths_are_saved_so_that_they_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    SIMPLE.save(Path("out.request.json"))
    loaded = load_request(tmp_path / "out.request.json")
    assert loaded.portrait == tmp_path / "photo.png"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_an_unreadable_request_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(RequestError, match="cannot be read"):
        load_request(tmp_path / "r.json")
