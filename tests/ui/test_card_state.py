"""The values of face cards survive another photo."""

from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.regions import REGION_NAMES
from ui.card_state import CardState, ClipAnalysis, SessionPhoto, save_cards
from ui.form import CLIP, FREE, MOTION, STILL

RAW = {
    "kind": CLIP,
    "clip": {"path": "uploads/a.mp4", "size": 3},
    "person": 2,
    "webcam": None,
    "motion": "nod",
    "strength": 1.5,
    "regions": ["head"],
    "mirror": True,
    "clip_analysis": ClipAnalysis("found", (1, 2)),
    "webcam_analysis": ClipAnalysis(),
}


def authorize(upload: Any) -> Path:
    """Authorizes every file."""
    return Path(upload["path"])


def refuse(_upload: object) -> Path:
    """Refuses every file."""
    raise RequestError("no")


def test_card_values_survive_another_photo() -> None:
    (card,) = save_cards([RAW], None, authorize)
    assert card == CardState(CLIP, "uploads/a.mp4", 2, None, "nod", 1.5, ("head",), True, ClipAnalysis("found", (1, 2)))


def test_card_state_keeps_missing_faces() -> None:
    before = SessionPhoto("", ("", "", ""), (CardState(), CardState(), CardState(MOTION, motion="sing")))
    kept = save_cards([RAW, RAW], before, authorize)
    assert [card.kind for card in kept] == [CLIP, CLIP, MOTION]


def test_card_state_keeps_free_face() -> None:
    (card,) = save_cards([{**RAW, "kind": FREE}], None, authorize)
    assert SessionPhoto("photo.png", ("",), (card,)).card(1).kind == FREE


def test_card_state_drops_refused_file() -> None:
    (card,) = save_cards([{**RAW, "clip": {"path": "/a.mp4"}, "webcam": {"path": "/b.mp4"}}], None, refuse)
    assert card.clip is None and card.webcam is None and card.motion == "nod"


@pytest.mark.parametrize("forged", [{"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}, ["x"], {}])
def test_card_state_drops_values_outside_choices(forged: object) -> None:
    """A file description in a value would be put into the next card, and the file served."""
    names = ("kind", "person", "motion", "strength", "regions", "mirror")
    (card,) = save_cards([dict.fromkeys(names, forged)], None, authorize)
    assert card == CardState(regions=card.regions) and set(card.regions) <= set(REGION_NAMES)


def test_new_face_defaults_to_still() -> None:
    assert SessionPhoto("photo.png", ("", "")).card(2).kind == STILL


def test_card_state_is_hashable() -> None:
    """gradio compares states by their hash."""
    assert hash(SessionPhoto("photo.png", ("",), save_cards([RAW], None, authorize)))
