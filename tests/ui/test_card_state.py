"""What was chosen survives another photo."""

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


def shut(_upload: object) -> Path:
    """Authorizes no file."""
    raise RequestError("no")


def test_values_are_kept_as_the_next_card_needs_them() -> None:
    (card,) = save_cards([RAW], None, authorize)
    assert card == CardState(CLIP, "uploads/a.mp4", 2, None, "nod", 1.5, ("head",), True, ClipAnalysis("found", (1, 2)))


def test_faces_that_the_next_photo_does_not_show_stay_known() -> None:
    before = SessionPhoto("", ("", "", ""), (CardState(), CardState(), CardState(MOTION, motion="sing")))
    kept = save_cards([RAW, RAW], before, authorize)
    assert [card.kind for card in kept] == [CLIP, CLIP, MOTION]


def test_a_face_left_to_the_model_stays_so() -> None:
    (card,) = save_cards([{**RAW, "kind": FREE}], None, authorize)
    assert SessionPhoto("photo.png", ("",), (card,)).card(1).kind == FREE


def test_a_file_that_is_refused_is_not_kept() -> None:
    (card,) = save_cards([{**RAW, "clip": {"path": "/a.mp4"}, "webcam": {"path": "/b.mp4"}}], None, shut)
    assert card.clip is None and card.webcam is None and card.motion == "nod"


@pytest.mark.parametrize("forged", [{"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}, ["x"], {}])
def test_what_no_widget_offers_is_not_kept(forged: object) -> None:
    """A description of a file would be drawn into the next card, and its file sent with it."""
    names = ("kind", "person", "motion", "strength", "regions", "mirror")
    (card,) = save_cards([dict.fromkeys(names, forged)], None, authorize)
    assert card == CardState(regions=card.regions) and set(card.regions) <= set(REGION_NAMES)


def test_a_new_face_is_still() -> None:
    assert SessionPhoto("photo.png", ("", "")).card(2).kind == STILL


def test_a_state_can_be_hashed() -> None:
    """gradio compares states by their hash."""
    assert hash(SessionPhoto("photo.png", ("",), save_cards([RAW], None, authorize)))
