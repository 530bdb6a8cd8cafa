"""The request: its rules and its JSON form."""

import json
import pickle
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import RequestError
from fantasyportrait.images.images import Photo
from fantasyportrait.media.request_files import REQUEST_KEY, check_embedded, load_request
from fantasyportrait.media.writer import VideoWriter
from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.schema.regions import Regions
from fantasyportrait.schema.request import AnimationRequest, from_json
from fantasyportrait.schema.sound_file import SoundFile, parse_sound_file
from fantasyportrait.schema.timeline import FillMode

SIMPLE = AnimationRequest(Path("photo.png"), (Role(1, ClipSource(Path("a.mp4"))),))

paths = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1).map(Path)
paths = paths.filter(lambda path: path.name)
digests = st.none() | st.text("0123456789abcdef", min_size=64, max_size=64)
seconds = st.floats(0, 1000) | st.integers(0, 1000)
clips = st.builds(
    lambda path, person, start, more, digest, delay, fill: ClipSource(
        path, person, start, start + more if more else None, digest, delay, fill
    ),
    paths, st.none() | st.integers(1, 99), seconds, st.none() | st.floats(0.01, 100), digests, seconds,
    st.none() | st.sampled_from(get_args(FillMode)),
)  # fmt: skip
roles = st.builds(
    Role,
    st.integers(1, 99),
    st.none() | clips | st.sampled_from(sorted(BUILTIN_MOTIONS)).map(BuiltinSource),
    st.floats(0, 2),
    st.builds(Regions, st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    st.booleans(),
    st.none() | st.floats(0, 1),
)
requests = st.builds(
    AnimationRequest,
    portrait=paths,
    cast=st.lists(roles, min_size=1, unique_by=lambda role: role.face).map(tuple),
    engine=st.sampled_from(["preview", "wan"]),
    duration=st.sampled_from(["longest", "shortest"]) | st.floats(0.01, 1000) | st.integers(1, 1000),
    rate=st.fractions(1, 120, max_denominator=1001),
    fill=st.sampled_from(get_args(FillMode)),
    absolute=st.booleans(),
    smoothing=st.floats(0, 1),
    sound=st.sampled_from(["auto", "mix", "none"]) | st.builds(SoundFile, paths, seconds).map(str),
    max_side=st.integers(64, 8192),
    side_by_side=st.booleans(),
    portrait_sha256=digests,
)


@given(requests)
def test_request_json_round_trip(request: AnimationRequest) -> None:
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
def test_sound_file_accepts_delay(sound: str, path: str, start_s: float) -> None:
    request = replace(SIMPLE, sound=sound)
    assert request.custom_sound == SoundFile(Path(path), start_s) and request.sound_file == Path(path)
    moved = request.with_paths(lambda given: Path("/there") / given)
    assert moved.custom_sound == SoundFile(Path("/there") / path, start_s)


@given(paths, seconds)
def test_sound_file_text_round_trip(path: Path, start_s: float) -> None:
    sound = SoundFile(path, start_s)
    if start_s or parse_sound_file(f"file:{path}").start_s == 0:
        assert parse_sound_file(str(sound)) == sound


@given(st.text())
def test_sound_raises_only_request_error(text: str) -> None:
    for sound in (text, f"file:{text}", f"file:a.mp3#start={text}"):
        try:
            assert replace(SIMPLE, sound=sound).sound == sound
        except RequestError as error:
            assert str(error)


def test_clip_rate_and_sound_length_json_round_trip() -> None:
    request = replace(SIMPLE, rate="clip", duration="sound", sound="file:a.mp3#start=1.25")
    assert from_json(request.to_json()) == request


def test_request_json_without_later_fields_loads() -> None:
    data = json.loads(SIMPLE.to_json())
    del data["cast"][0]["source"]["delay_s"], data["cast"][0]["source"]["fill"], data["cast"][0]["smoothing"]
    assert from_json(json.dumps(data)) == SIMPLE


@given(roles, st.sampled_from(get_args(FillMode)), st.floats(0, 1))
def test_role_without_own_fill_and_smoothing_takes_the_requests(role: Role, fill: FillMode, smoothing: float) -> None:
    request = AnimationRequest(Path("photo.png"), (role,), fill=fill, smoothing=smoothing)
    assert request.smoothing_of(role) == (smoothing if role.smoothing is None else role.smoothing)
    for clip in request.clips:
        assert request.fill_of(clip) == (clip.fill or fill)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)
                    | st.dictionaries(st.sampled_from([*json.loads(SIMPLE.to_json()), "other"]), inner)))  # fmt: skip
def test_from_json_raises_only_request_error(data: object) -> None:
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
        ({"cast": None}, "cast is None: give a list of roles"),
        ({"cast": {1: "a.mp4"}}, "cast is {1: 'a.mp4'}: give a list of roles"),
        ({"cast": [Role(2, None), 3]}, "cast[1] is 3: give a Role, or text: FACE=SOURCE"),
        ({"cast": ["1=still", "2=motion:smle"]}, "cast[1]: the built-in motion is 'smle' (did you mean smile?)"),
        ({"portrait": ""}, "portrait is ''"),
        ({"portrait": None}, "portrait is None: give a path"),
        ({"portrait": b"photo.png"}, "portrait is b'photo.png': give a path"),
        ({"portrait": "a\0b"}, "portrait is 'a\\x00b'"),
        ({"portrait": np.zeros((512, 512))}, "portrait is a float64 array (512, 512): give uint8 RGB (H, W, 3)"),
        ({"portrait": np.zeros((3, 64, 64), np.uint8)}, "portrait is a uint8 array (3, 64, 64): give uint8 RGB"),
        ({"portrait": np.zeros((0, 64, 3), np.uint8)}, "portrait is a uint8 array (0, 64, 3)"),
        ({"portrait": Path("")}, "portrait is empty or a folder"),
        ({"duration": 0}, "duration is 0"),
        ({"duration": float("nan")}, "duration is nan"),
        (
            {"duration": "longst"},
            "duration is 'longst' (did you mean longest?): give longest, shortest, sound or a number",
        ),
        ({"duration": True}, "duration is True"),
        ({"duration": None}, "duration is None"),
        ({"duration": "long"}, "longest, shortest"),
        ({"rate": None}, "rate is None: give frames a second from 1 to 240"),
        ({"rate": "fast"}, "rate is 'fast'"),
        ({"rate": True}, "rate is True"),
        ({"rate": float("inf")}, "rate is inf"),
        ({"rate": Fraction(0)}, "rate is Fraction(0, 1)"),
        ({"rate": Fraction(1000)}, "rate is Fraction(1000, 1)"),
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
        ({"max_side": 10**400}, "max_side is 1000"),
        ({"smoothing": 10**400}, "smoothing is 1000"),
        ({"smoothing": float("nan")}, "smoothing is nan"),
        ({"smoothing": np.float32(2)}, "smoothing is np.float32(2.0)"),
        ({"duration": 10**400}, "duration is 1000"),
        ({"duration": Fraction(10**400)}, "duration is inf"),
        ({"max_side": 640.0}, "max_side is 640.0"),
        ({"side_by_side": None}, "side_by_side"),
        ({"engine": ""}, "engine"),
        ({"sampling": {"seed": 1}}, "sampling is {'seed': 1}: give a Sampling"),
        ({"portrait_sha256": "abc"}, "sha256"),
    ],
)
def test_invalid_request_field_is_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(RequestError) as caught:
        replace(SIMPLE, **change)  # type: ignore[arg-type]
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"portrait": "photo.png"}, {}),
        ({"cast": [Role(1, ClipSource("a.mp4"))]}, {}),
        ({"cast": ["1=a.mp4"]}, {}),
        ({"cast": "1=a.mp4"}, {}),
        ({"cast": Role(1, "a.mp4")}, {}),
        ({"cast": (Role(np.int64(1), Path("a.mp4"), strength=np.float32(1)),)}, {}),
        ({"cast": iter(["1=a.mp4"])}, {}),
        ({"rate": 25}, {}),
        ({"rate": "25"}, {}),
        ({"rate": 25.0}, {}),
        ({"rate": np.float32(25)}, {}),
        ({"rate": np.int64(25)}, {}),
        ({"rate": 29.97}, {"rate": Fraction(30000, 1001)}),
        ({"rate": 30 / 1.001}, {"rate": Fraction(30000, 1001)}),
        ({"rate": np.float32(23.976)}, {"rate": Fraction(24000, 1001)}),
        ({"rate": 12.5}, {"rate": Fraction(25, 2)}),
        ({"rate": 100 / 3}, {"rate": Fraction(100, 3)}),
        ({"duration": "2.5"}, {"duration": 2.5}),
        ({"duration": Fraction(5, 2)}, {"duration": 2.5}),
        ({"duration": np.float32(2.5)}, {"duration": 2.5}),
        ({"max_side": np.int64(640)}, {"max_side": 640}),
    ],
)
def test_request_converts_field_values(given: dict[str, Any], kept: dict[str, Any]) -> None:
    request = replace(SIMPLE, **given)
    assert request == replace(SIMPLE, **kept)
    assert type(request.portrait) is type(SIMPLE.portrait) and isinstance(request.rate, Fraction)
    assert isinstance(request.cast, tuple) and from_json(request.to_json()) == request


def test_converted_field_is_frozen_and_keeps_default() -> None:
    with pytest.raises(FrozenInstanceError):
        SIMPLE.portrait = Path("b.png")  # type: ignore[misc]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'cast'"):
        AnimationRequest("photo.png")
    assert AnimationRequest.rate == 25
    assert pickle.loads(pickle.dumps(SIMPLE)) == SIMPLE and hash(SIMPLE) == hash(replace(SIMPLE))


def test_in_memory_portrait_is_not_in_json() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    request, same = (replace(SIMPLE, portrait=pixels.copy()) for _ in range(2))
    other = replace(SIMPLE, portrait=pixels + np.uint8(1))
    assert isinstance(request.portrait, Photo) and np.array_equal(request.portrait.pixels, pixels)
    assert request == same and hash(request) == hash(same) and request != other
    assert request.files == (Path("a.mp4"),) and request.with_paths(lambda path: path) == request
    with pytest.raises(RequestError, match="portrait is the picture in memory, which JSON cannot name"):
        request.to_json()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ("[" * 100_000, "not JSON"),
        ('{"schema": 1, "portrait": "a.png", "cast": [], "steps": 30}', "schema 1, this version reads 2"),
        ("{}", "schema None, this version reads 2"),
        ('{"schema": 2}', "portrait"),
        ('{"schema": 2, "colour": 3}', "unknown key 'colour'"),
        ('{"schema": 2, "portrait": "a.png", "cast": [{"face": 1}]}', "source"),
        ('{"schema": 2, "portrait": "a.png", "cast": [{"face": 1, "source": "sleep"}]}', "source"),
        ('{"schema": 2, "portrait": "a.png", "cast": [{"face": 1, "source": {"clip": 3}}]}', "names no clip"),
        ('{"schema": 2, "portrait": "a.png", "cast": [{"face": 1, "source": {"clip": "a", "x": 1}}]}', "key 'x'"),
        ('{"schema": 2, "portrait": "a.png", "cast": [{"face": "1", "source": "still"}]}', "'1'"),
        (
            '{"schema": 2, "portrait": "a.png", "cast": [{"face": 1, "source": "still", "regions": {"nose": true}}]}',
            "regions has the unknown key 'nose'",
        ),
        ('{"schema": 2, "portrait": "a.png", "cast": [], "rate": "fast"}', "rate"),
    ],
)
def test_invalid_json_is_refused(text: str, word: str) -> None:
    with pytest.raises(RequestError) as caught:
        from_json(text)
    assert word in str(caught.value)


def test_saved_request_moves_with_its_files(tmp_path: Path) -> None:
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


def test_saved_relative_paths_resolve_after_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    SIMPLE.save(Path("out.request.json"))
    loaded = load_request(tmp_path / "out.request.json")
    assert loaded.portrait == tmp_path / "photo.png"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_unreadable_request_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(RequestError, match="cannot be read"):
        load_request(tmp_path / "r.json")


def test_saved_request_paths_are_relative_upwards(tmp_path: Path) -> None:
    """A whole folder tree can be moved or linked."""
    (tmp_path / "tree" / "results").mkdir(parents=True)
    request = replace(SIMPLE, portrait=tmp_path / "tree" / "photos" / "a.png")
    request.save(tmp_path / "tree" / "results" / "out.mp4.request.json")
    text = (tmp_path / "tree" / "results" / "out.mp4.request.json").read_text()
    assert '"../photos/a.png"' in text and str(tmp_path) not in text
    (tmp_path / "tree").rename(tmp_path / "moved")
    (tmp_path / "link").symlink_to(tmp_path / "moved" / "results", target_is_directory=True)
    loaded = load_request(tmp_path / "link" / "out.mp4.request.json")
    assert loaded.portrait == (tmp_path / "moved" / "photos" / "a.png").resolve()


def test_embedded_request_uses_file_names_only(tmp_path: Path) -> None:
    hostile = replace(SIMPLE, portrait=Path("/etc/../etc/passwd"), sound="file:../../secret.wav").to_json()
    with VideoWriter(tmp_path / "a.mp4", (16, 16), Fraction(25), metadata={REQUEST_KEY: hostile}) as writer:
        writer.write(np.zeros((16, 16, 3), np.uint8))
    loaded = load_request(tmp_path / "a.mp4")
    assert loaded.portrait == tmp_path / "passwd" and loaded.sound_file == tmp_path / "secret.wav"
    with pytest.raises(RequestError, match="was made from passwd, which is not in its folder"):
        check_embedded(loaded, tmp_path / "a.mp4")
    assert load_request(tmp_path / "a.mp4").portable_json() == loaded.portable_json()


def test_invalid_saved_request_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(RequestError, match=r"r\.json: the request is not JSON"):
        load_request(tmp_path / "r.json")
    with (tmp_path / "movie.mov").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RequestError, match=r"movie\.mov cannot be read \(it is too large"):
        load_request(tmp_path / "movie.mov")
    (tmp_path / "a.gif").write_bytes(b"GIF89a\x90")
    with pytest.raises(RequestError, match=r"a\.gif cannot be read \(it is no text\): .* or a video of this program"):
        load_request(tmp_path / "a.gif")


@pytest.mark.parametrize(
    ("text", "word"), [("My holidays", "carries no request"), ('{"made": "elsewhere"}', "a.mp4: the request has")]
)
def test_load_request_refuses_invalid_embedded_request(tmp_path: Path, text: str, word: str) -> None:
    with VideoWriter(tmp_path / "a.mp4", (16, 16), Fraction(25), metadata={REQUEST_KEY: text}) as writer:
        writer.write(np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(RequestError, match=word):
        load_request(tmp_path / "a.mp4")
