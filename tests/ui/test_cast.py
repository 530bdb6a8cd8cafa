"""What was chosen survives another photo."""

from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.errors import RequestError
from ui.cast import KeptCard, Portrait, Seen, keep
from ui.form import CLIP, FREE, MOTION, REGION_NAMES, STILL

RAW = [CLIP, {"path": "uploads/a.mp4", "size": 3}, 2, None, "nod", 1.5, ["head"], True, Seen("found", (1, 2)), Seen()]


def admit(upload: Any) -> Path:
    """A gate that is open."""
    return Path(upload["path"])


def shut(_upload: object) -> Path:
    """A gate that is closed."""
    raise RequestError("no")


def test_values_are_kept_as_the_next_card_needs_them() -> None:
    (card,) = keep(RAW, None, admit)
    assert card == KeptCard(CLIP, "uploads/a.mp4", 2, None, "nod", 1.5, ("head",), True, Seen("found", (1, 2)))


def test_faces_that_the_next_photo_does_not_show_stay_known() -> None:
    before = Portrait("", ("", "", ""), (KeptCard(), KeptCard(), KeptCard(MOTION, motion="sing")))
    kept = keep([*RAW, *RAW], before, admit)
    assert [card.kind for card in kept] == [CLIP, CLIP, MOTION]


def test_a_face_left_to_the_model_stays_so() -> None:
    (card,) = keep([FREE, *RAW[1:]], None, admit)
    assert Portrait("photo.png", ("",), (card,)).card(1).kind == FREE


def test_a_file_that_is_refused_is_not_kept() -> None:
    (card,) = keep([CLIP, {"path": "/a.mp4"}, 0, {"path": "/b.mp4"}, *RAW[4:]], None, shut)
    assert card.clip is None and card.webcam is None and card.motion == "nod"


@pytest.mark.parametrize("forged", [{"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}, ["x"], {}])
def test_what_no_widget_offers_is_not_kept(forged: object) -> None:
    """A description of a file would be drawn into the next card, and its file sent with it."""
    (card,) = keep([forged, None, forged, None, forged, forged, forged, forged, Seen(), Seen()], None, admit)
    assert card == KeptCard(regions=card.regions) and set(card.regions) <= set(REGION_NAMES)


def test_a_new_face_is_still() -> None:
    assert Portrait("photo.png", ("", "")).card(2).kind == STILL


def test_a_state_can_be_hashed() -> None:
    """gradio compares states by their hash."""
    assert hash(Portrait("photo.png", ("",), keep(RAW, None, admit)))
