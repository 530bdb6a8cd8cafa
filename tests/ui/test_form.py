"""What is chosen on the page becomes the request, and nothing else does."""

import json
from pathlib import Path

import pytest

from fantasyportrait.core.errors import RequestError
from fantasyportrait.service.cast import BuiltinSource, ClipSource
from fantasyportrait.service.request import from_json
from tests.ui.factories import card, options
from ui.form import CLIP, STILL, WEBCAM, portable, request_of, role_of

PHOTO = Path("uploads/1f/photo.png")


def test_choices_become_the_request() -> None:
    cards = {
        1: card(kind=CLIP, clip="uploads/2a/a.mp4", person=2, strength=1.5, regions=["head", "mouth"], mirror=True),
        2: card(kind=WEBCAM, webcam="uploads/3b/b.webm"),
        3: card(motion="laugh"),
        4: card(kind=STILL),
    }
    request = request_of(PHOTO, cards, options(seconds=8, fill="pingpong", absolute=True, sound="face:1"))
    first, second, third, fourth = request.cast
    assert first.source == ClipSource(Path("uploads/2a/a.mp4"), 2)
    assert (first.strength, first.head, first.eyes, first.emotion, first.mouth) == (1.5, True, False, False, True)
    assert first.mirror and not second.mirror
    assert second.source == ClipSource(Path("uploads/3b/b.webm"))
    assert third.source == BuiltinSource("laugh") and fourth.source is None
    assert (request.duration, request.fill, request.absolute, request.sound) == (8.0, "pingpong", True, "face:1")


def test_a_hidden_panel_does_not_count() -> None:
    role = role_of(1, card(clip="uploads/a.mp4", webcam="uploads/b.webm", person=2))
    assert role.source == BuiltinSource("nod")


def test_the_length_can_be_that_of_the_clips() -> None:
    assert request_of(PHOTO, {1: card()}, options(length="shortest", seconds=None)).duration == "shortest"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strength": 9}, "strength of face 1"),
        ({"strength": "2"}, "strength of face 1"),
        ({"strength": float("nan")}, "strength of face 1"),
        ({"motion": "../nod"}, "built-in motion"),
        ({"motion": None}, "built-in motion"),
        ({"regions": ["head", "tail"]}, "face 1 follows"),
        ({"regions": None}, "face 1 follows"),
        ({"mirror": "yes"}, "mirror of face 1"),
        ({"kind": "everything"}, "face 1 plays 'everything'"),
        ({"kind": CLIP}, "face 1 has no clip yet: upload"),
        ({"kind": WEBCAM, "webcam": ""}, "face 1 has no clip yet: record"),
        ({"kind": CLIP, "clip": "a.mp4", "person": -1}, "person of a.mp4"),
        ({"kind": CLIP, "clip": "a.mp4", "person": "two"}, "person of a.mp4"),
        ({"kind": STILL}, "every face is still"),
    ],
)
def test_a_card_out_of_range_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        request_of(PHOTO, {1: card(**changes)}, options())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seconds": 0}, "length"),
        ({"seconds": 10**9}, "length"),
        ({"seconds": "4"}, "length"),
        ({"length": "for ever"}, "duration"),
        ({"length": 3}, "duration"),
        ({"fill": "bounce"}, "fill"),
        ({"absolute": 1}, "absolute"),
        ({"smoothing": -0.5}, "smoothing"),
        ({"sound": "face:7"}, "face 7 has no clip"),
        ({"sound": "file:secret.wav"}, "cannot be a file of the server"),
        ({"sound": None}, "sound"),
        ({"side_by_side": "on"}, "side_by_side"),
    ],
)
def test_an_option_out_of_range_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        request_of(PHOTO, {1: card()}, options(**changes))


def test_the_saved_request_does_not_say_where_the_server_keeps_things() -> None:
    request = request_of(PHOTO, {1: card(kind=CLIP, clip="uploads/2a/a.mp4")}, options())
    text = portable(request)
    assert "uploads" not in text and json.loads(text)["portrait"] == "photo.png"
    assert from_json(text).clips == (ClipSource(Path("a.mp4")),)
