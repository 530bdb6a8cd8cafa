"""The state of a session as JSON: it comes back as it was, and other text is refused."""

import json

import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.face_edits import AddedFace, FaceEdits
from fantasyportrait.schema.regions import REGION_NAMES
from fantasyportrait.studio.clip_state import ClipPerson, ClipState
from fantasyportrait.studio.state import Card, PhotoFace, PhotoState, SessionState, state_from_json

TEXT = st.text(max_size=20)
NUMBER = st.floats(0, 1e6)
CARDS = st.builds(
    Card,
    kind=TEXT,
    motion=TEXT,
    clip=st.none() | TEXT,
    person=st.none() | st.integers(1, 9),
    start_s=NUMBER,
    end_s=st.none() | NUMBER,
    delay_s=NUMBER,
    fill=st.none() | TEXT,
    strength=NUMBER,
    regions=st.lists(st.sampled_from(REGION_NAMES), unique=True).map(tuple),
    mirror=st.booleans(),
    smoothing=st.none() | NUMBER,
)
FACES = st.builds(
    PhotoFace,
    id=st.integers(1, 99),
    box=st.tuples(NUMBER, NUMBER, NUMBER, NUMBER),
    thumbnail=TEXT,
    warnings=st.lists(TEXT, max_size=2).map(tuple),
    added=st.booleans(),
)
PHOTOS = st.builds(
    PhotoState,
    id=TEXT,
    path=TEXT,
    name=TEXT,
    shown=TEXT,
    size=st.tuples(st.integers(0, 9999), st.integers(0, 9999)),
    faces=st.lists(FACES, max_size=3).map(tuple),
    messages=st.lists(TEXT, max_size=2).map(tuple),
    error=TEXT,
    edits=st.just(FaceEdits((AddedFace(3, (1, 2, 30, 40)),), (1,))) | st.just(FaceEdits()),
)
CLIPS = st.builds(
    ClipState,
    id=TEXT,
    name=TEXT,
    path=TEXT,
    state=st.sampled_from(["waiting", "checking", "ready", "failed"]),
    people=st.lists(st.builds(ClipPerson, id=st.integers(1, 9), thumb=TEXT, seen=NUMBER), max_size=2).map(tuple),
    strip=st.lists(TEXT, max_size=2).map(tuple),
)
STATES = st.builds(
    SessionState,
    photo=st.none() | PHOTOS,
    cards=st.dictionaries(st.integers(1, 9), CARDS, max_size=3),
    clips=st.lists(CLIPS, max_size=2).map(tuple),
    options=st.dictionaries(TEXT, st.none() | TEXT | st.booleans() | NUMBER, max_size=3),
    created_s=NUMBER,
)


@given(STATES)
def test_state_comes_back_from_json(state: SessionState) -> None:
    assert state_from_json(state.to_json()) == state


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"schema": 0}', '{"schema": 1, "cards": {"x": {}}}', "[" * 100_000]
)
def test_damaged_state_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="session"):
        state_from_json(text)


@pytest.mark.parametrize("part", ["photo", "cards", "clips", "options"])
def test_state_with_other_part_is_refused_or_read(part: str) -> None:
    data = json.loads(SessionState().to_json())
    data[part] = [{"id": 1}]
    with pytest.raises(RequestError, match="damaged"):
        state = state_from_json(json.dumps(data))
        assert part == "options" and not isinstance(state.options, dict), "options are checked where they are used"
        raise RequestError("damaged")
