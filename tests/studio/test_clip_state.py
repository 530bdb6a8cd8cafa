"""Clips of a visitor as JSON: what is saved is read back, and what is not valid is refused."""

import json

import pytest
from hypothesis import given, strategies as st

from fantasyportrait.studio.clip_state import CheckState, ClipPerson, ClipState

PATHS = st.from_regex(r"shown/[0-9a-f]{4}/[a-z]{1,8}\.jpg", fullmatch=True)
NUMBERS = st.floats(0, 1e6)
CLIPS = st.builds(
    ClipState,
    id=st.from_regex(r"[0-9a-f]{8}", fullmatch=True),
    name=st.text(),
    path=PATHS,
    webcam=st.booleans(),
    state=st.sampled_from(["waiting", "checking", "ready", "failed"]),
    done=st.integers(0, 9999),
    total=st.integers(0, 9999),
    error=st.text(),
    messages=st.lists(st.text()).map(tuple),
    duration_s=NUMBERS,
    fps=NUMBERS,
    people=st.lists(st.builds(ClipPerson, id=st.integers(1, 8), thumb=PATHS, seen=st.floats(0, 1))).map(tuple),
    poster=PATHS,
    strip=st.lists(PATHS).map(tuple),
)


@given(CLIPS)
def test_clip_survives_json(clip: ClipState) -> None:
    assert ClipState.from_json(json.loads(json.dumps(clip.to_json()))) == clip


def test_unknown_names_of_a_newer_version_are_left_out() -> None:
    clip = ClipState("a1", "a.mp4", "files/a1.mp4")
    assert ClipState.from_json({**clip.to_json(), "later": 1}) == clip


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"id": "a1", "name": "a", "path": "b", "state": "lost"},
        {"id": "a1", "name": "a", "path": "b", "people": [{"id": 1}]},
        {"id": "a1", "name": "a", "path": "b", "people": 7},
    ],
)
def test_another_object_is_refused(data: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        ClipState.from_json(data)


def test_state_must_be_one_of_four() -> None:
    state: CheckState = "ready"
    assert ClipState("a1", "a", "b", state=state).state == "ready"
    with pytest.raises(ValueError, match="one of waiting, checking, ready, failed"):
        ClipState("a1", "a", "b", state="done")  # type: ignore[arg-type]
