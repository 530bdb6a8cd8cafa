"""What was chosen survives another photo."""

from ui.cast import KeptCard, Portrait, Seen, keep
from ui.form import CLIP, FREE, MOTION, STILL

RAW = [CLIP, {"path": "uploads/a.mp4", "size": 3}, 2, None, "nod", 1.5, ["head"], True, Seen("found", (1, 2)), Seen()]


def test_values_are_kept_as_the_next_card_needs_them() -> None:
    (card,) = keep(RAW, None)
    assert card == KeptCard(CLIP, "uploads/a.mp4", 2, None, "nod", 1.5, ("head",), True, Seen("found", (1, 2)))


def test_faces_that_the_next_photo_does_not_show_stay_known() -> None:
    before = Portrait("", ("", "", ""), (KeptCard(), KeptCard(), KeptCard(MOTION, motion="sing")))
    kept = keep([*RAW, *RAW], before)
    assert [card.kind for card in kept] == [CLIP, CLIP, MOTION]


def test_a_face_left_to_the_model_stays_so() -> None:
    (card,) = keep([FREE, *RAW[1:]], None)
    assert Portrait("photo.png", ("",), (card,)).card(1).kind == FREE


def test_a_new_face_is_still() -> None:
    assert Portrait("photo.png", ("", "")).card(2).kind == STILL


def test_a_state_can_be_hashed() -> None:
    """gradio compares states by their hash."""
    assert hash(Portrait("photo.png", ("",), keep(RAW, None)))
