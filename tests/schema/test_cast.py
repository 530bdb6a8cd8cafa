"""The cast's grammar and rules."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource, Role, parse_role, role_to_text
from fantasyportrait.schema.regions import Regions


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("1=a.mp4", Role(1, ClipSource(Path("a.mp4")))),
        ("2=b.mp4#person=2", Role(2, ClipSource(Path("b.mp4"), person=2))),
        ("3=motion:smile", Role(3, BuiltinSource("smile"))),
        ("4=still", Role(4, None)),
        ("1=C:\\a.mp4#person=2", Role(1, ClipSource(Path("C:\\a.mp4"), person=2))),
        ("1=take #3.mp4", Role(1, ClipSource(Path("take #3.mp4")))),
        ("1=take #3.mp4#person=2", Role(1, ClipSource(Path("take #3.mp4"), person=2))),
        ("1=x=y.mp4", Role(1, ClipSource(Path("x=y.mp4")))),
        ("1=x#y=z.mp4", Role(1, ClipSource(Path("x#y=z.mp4")))),
        ("1=./still", Role(1, ClipSource(Path("still")))),
        ("1=./motion:x", Role(1, ClipSource(Path("motion:x")))),
        ("1=a.mp4#start=1.5&end=2", Role(1, ClipSource(Path("a.mp4"), start_s=1.5, end_s=2.0))),
        ("2=b.mp4#delay=4", Role(2, ClipSource(Path("b.mp4"), delay_s=4.0))),
        ("2=b.mp4#delay=.5&person=2", Role(2, ClipSource(Path("b.mp4"), person=2, delay_s=0.5))),
        ("1=a.mp4#fill=hold&delay=1", Role(1, ClipSource(Path("a.mp4"), delay_s=1.0, fill="hold"))),
        ("1=a.mp4#smoothing=0.2&fill=pingpong", Role(1, ClipSource(Path("a.mp4"), fill="pingpong"), smoothing=0.2)),
        ("1=face.jpg", Role(1, ClipSource(Path("face.jpg")))),
        ("1=motion:nod#strength=0.5&mirror=on", Role(1, BuiltinSource("nod"), strength=0.5, mirror=True)),
        (
            "1=a.mp4#head=off&eyes=no&emotion=false&mouth=0",
            Role(1, ClipSource(Path("a.mp4")), regions=Regions(False, False, False, False)),
        ),
    ],
)
def test_parse_role_grammar(text: str, role: Role) -> None:
    assert parse_role(text) == role


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a.mp4", "FACE=SOURCE"),
        ("=a.mp4", "FACE=SOURCE"),
        ("one=a.mp4", "FACE=SOURCE"),
        ("1=", "FACE=SOURCE"),
        ("1=#person=2", "names no file"),
        ("-1=a.mp4", "FACE=SOURCE"),
        ("0=a.mp4", "whole number from 1"),
        (f"{'9' * 5000}=a.mp4", "FACE=SOURCE"),
        ("1=a.mp4#person=two", "person"),
        ("1=a.mp4#person=0", "person"),
        ("1=a.mp4#start=-1", "start"),
        ("1=a.mp4#start=nan", "start"),
        ("1=a.mp4#start=3&end=3", "end must come after"),
        ("1=a.mp4#delay=-1", "delay"),
        ("1=a.mp4#delay=soon", "delay"),
        ("1=a.mp4#delay=inf", "delay"),
        ("1=motion:smile#delay=2", "only a clip"),
        ("1=a.mp4#strength=2.5", "from 0 to 2"),
        ("1=a.mp4#smoothing=1.5", "smoothing of face 1"),
        ("1=a.mp4#fill=twice", "fill of a.mp4"),
        ("1=motion:smile#fill=hold", "only a clip"),
        ("1=a.mp4#head=maybe", "on or off"),
        ("1=a.mp4#person=2&persn=3", "'persn=3'"),
        ("1=a.mp4#person=2&person=3", "twice"),
        ("1=motion:smle", "did you mean smile"),
        ("1=motion:smile#speed=2", "'speed=2'"),
        ("1=motion:smile#person=2", "only a clip"),
        ("1=still#start=2", "only a clip"),
    ],
)
def test_invalid_cast_is_refused(text: str, word: str) -> None:
    with pytest.raises(RequestError, match=".") as caught:
        parse_role(text)
    assert word in str(caught.value)


@given(st.text())
def test_parse_role_raises_only_request_error(text: str) -> None:
    try:
        assert isinstance(parse_role(text), Role)
    except RequestError as error:
        assert str(error)


@given(st.integers(1, 99), st.sampled_from(["a.mp4", "b#1.mov", "c=d.webm", "e & f.mkv"]), st.integers(1, 9))
def test_parse_role_keeps_name_before_options(face: int, name: str, person: int) -> None:
    assert parse_role(f"{face}={name}#person={person}") == Role(face, ClipSource(Path(name), person=person))


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("a.mp4", ClipSource(Path("a.mp4"))),
        (Path("still"), ClipSource(Path("still"))),
        ("still", None),
        ("free", FreeSource()),
        ("motion:nod", BuiltinSource("nod")),
    ],
)
def test_clip_source_accepts_text_and_path(source: Any, kept: object) -> None:
    assert Role(1, source).source == kept


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Role(1, 3), "source is 3: give a ClipSource"),
        (lambda: Role(1, ""), "the source '' names no file"),
        (lambda: Role(1, "motion:smle"), "did you mean smile?"),
        (lambda: Role(1, None, regions="mouth"), "regions of face 1 is 'mouth': give a Regions"),  # type: ignore[arg-type]
        (lambda: Regions(mouth=1), "the region mouth is 1: give true or false"),  # type: ignore[arg-type]
        (lambda: ClipSource(""), "path is ''"),
        (lambda: ClipSource(7), "path is 7: give a path"),
    ],
)
def test_invalid_role_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(RequestError) as caught:
        make()
    assert words in str(caught.value)


@pytest.mark.parametrize("value", [True, 1.5, "2", None])
def test_role_face_must_be_integer(value: object) -> None:
    with pytest.raises(RequestError, match="whole number"):
        Role(value, None)  # type: ignore[arg-type]


_SECONDS = st.floats(0, 1000)
_NAMES = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1).filter(
    lambda text: Path(text).name
)
_CLIPS = st.builds(
    lambda path, person, start, length, delay, fill: ClipSource(
        path, person, start, None if length is None else start + length, delay_s=delay, fill=fill
    ),
    _NAMES.map(Path)
    | st.sampled_from(["still", "free", "motion:smile", "still#x", "a#strength=2", "#", "a#b=c"]).map(Path),
    st.none() | st.integers(1, 999),
    _SECONDS,
    st.none() | st.floats(0.001, 1000),
    _SECONDS,
    st.sampled_from([None, "loop", "hold", "pingpong"]),
)


@given(
    st.builds(
        Role,
        st.integers(1, 999),
        st.none() | st.just(FreeSource()) | st.just(BuiltinSource("smile")) | _CLIPS,
        strength=st.floats(0, 2) | st.integers(0, 2),
        regions=st.builds(Regions, st.booleans(), st.booleans(), st.booleans(), st.booleans()),
        mirror=st.booleans(),
        smoothing=st.none() | st.floats(0, 1),
    )
)
def test_role_to_text_is_read_as_equal_role(role: Role) -> None:
    assert parse_role(role_to_text(role)) == role
