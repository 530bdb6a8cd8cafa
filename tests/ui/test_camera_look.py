"""The page's question how well a camera sees a face, over HTTP."""

import base64
from typing import Any

import pytest

from tests.ui.serving import Served
from tests.ui.visitor import Visitor

GREY = base64.b64encode(bytes([140]) * (160 * 120 * 3)).decode()


def test_picture_of_a_session_is_judged_and_changes_nothing(app: Served) -> None:
    visitor = Visitor(app.address)
    before = visitor.view()
    assert visitor.call("look", picture=GREY) == {"seen": "no_face"}
    assert visitor.view()["version"] == before["version"]


@pytest.mark.parametrize(
    "picture", [None, 3, "", "x", GREY + "AAAA", "!" * len(GREY), [GREY], {"path": "/etc/hostname"}]
)
def test_other_pictures_are_refused_in_a_sentence(app: Served, picture: Any) -> None:
    visitor = Visitor(app.address)
    answer = visitor.call("look", picture=picture)
    assert set(answer) == {"error"} and "160 x 120" in answer["error"]


def test_unknown_token_gets_no_answer(app: Served) -> None:
    visitor = Visitor(app.address)
    for token in (None, "", "x" * 32):
        assert visitor.function("look", {"token": token, "picture": GREY}).json() == {"unknown": "session"}
