"""The cast of a call: read from its mapping, decided without one, and returned in the same words."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS
from fantasyportrait.schema.regions import REGION_NAMES
from fantasyportrait.studio.api_cast import cast_text, default_cast, read_cast
from fantasyportrait.studio.clip_state import ClipState
from fantasyportrait.studio.state import CLIP, IDLE, MOTION, STILL, Card

CLIPS = (ClipState("a1", "a.mp4", "files/a1.mp4"), ClipState("b2", "b.mp4", "files/b2.mp4"))
HUNDREDTHS = st.integers(0, 200).map(lambda number: number / 100)
REGIONS = st.sets(st.sampled_from(REGION_NAMES)).map(lambda on: tuple(name for name in REGION_NAMES if name in on))
COMMON: dict[str, Any] = {"strength": HUNDREDTHS, "regions": REGIONS, "mirror": st.booleans()}
CARDS = st.one_of(
    st.builds(Card, kind=st.just(MOTION), motion=st.sampled_from(sorted(BUILTIN_MOTIONS)), **COMMON),
    st.builds(Card, kind=st.just(STILL), **COMMON),
    st.builds(
        Card,
        kind=st.just(CLIP),
        clip=st.sampled_from([clip.id for clip in CLIPS]),
        person=st.none() | st.integers(1, 9),
        start_s=HUNDREDTHS,
        end_s=st.none() | HUNDREDTHS.map(lambda end_s: 3 + end_s),
        delay_s=HUNDREDTHS,
        fill=st.none() | st.sampled_from(["loop", "hold", "pingpong"]),
        **COMMON,
    ),
)


@given(st.dictionaries(st.integers(1, 4), CARDS))
def test_cast_is_read_as_it_was_returned(cards: dict[int, Card]) -> None:
    full = {face: cards.get(face, Card()) for face in range(1, 5)}
    assert read_cast(cast_text(full, CLIPS), [1, 2, 3, 4], CLIPS) == full


def test_face_that_cast_leaves_out_is_idle() -> None:
    assert read_cast({"2": "still"}, [1, 2], ())[1] == Card(MOTION, IDLE)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"1": "clip:3"}, "the first of the 2 clips"),
        ({"1": "clip:0"}, "the first of the 2 clips"),
        ({"1": "clip:1.mp4"}, "the first of the 2 clips"),
        ({"1": "../a.mp4"}, "the first of the 2 clips"),
        ({"1": "motion:../x"}, "the built-in motion"),
        ({"1": ""}, "cannot be read"),
        ({"0": "still"}, "the photo has face 1"),
        ({"1=still": "still"}, "the photo has face 1"),
        ({True: "still"}, "the photo has face 1"),
        ({"1": None}, "no short text"),
        ("1=still", "no mapping"),
    ],
)
def test_cast_is_refused_in_a_sentence(given: object, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        read_cast(given, [1], CLIPS)


def test_clips_drive_faces_in_order() -> None:
    assert cast_text(default_cast([1, 3, 4], CLIPS, 5), CLIPS) == {"1": "clip:1", "3": "clip:2", "4": "motion:idle"}


def test_people_of_one_clip_drive_faces_in_order() -> None:
    cards = default_cast([1, 2, 5], CLIPS[:1], 2)
    assert cast_text(cards, CLIPS) == {"1": "clip:1#person=1", "2": "clip:1#person=2", "5": "motion:idle"}


def test_more_clips_than_faces_are_refused() -> None:
    with pytest.raises(RequestError, match="2 clips, and the photo has face 1: give a cast"):
        default_cast([1], CLIPS, 1)
