"""Edits of the faces of a photo: their rules, their text and their JSON form."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.cast import Role
from fantasyportrait.schema.face_edits import (
    AddedFace,
    FaceEdits,
    edits_from_dict,
    edits_to_dict,
    parse_added_face,
)
from fantasyportrait.schema.request import AnimationRequest, from_json

corners = st.integers(-4000, 40000).map(lambda value: value / 4)
lengths = st.integers(1, 40000).map(lambda value: value / 4)
added_faces = st.builds(
    lambda face, left, top, width, height: AddedFace(face, (left, top, left + width, top + height)),
    st.integers(1, 999), corners, corners, lengths, lengths,
)  # fmt: skip
edits = st.builds(
    FaceEdits,
    st.lists(added_faces, max_size=4, unique_by=lambda face: face.face),
    st.lists(st.integers(1, 999), max_size=4, unique=True),
)


@given(added_faces)
def test_text_of_added_face_is_read_back(face: AddedFace) -> None:
    assert parse_added_face(str(face)) == face


@given(edits)
def test_edits_become_json_and_back(given_edits: FaceEdits) -> None:
    assert edits_from_dict(json.loads(json.dumps(edits_to_dict(given_edits)))) == given_edits


@given(edits)
def test_saved_request_keeps_its_edits(given_edits: FaceEdits) -> None:
    taken = {face.face for face in given_edits.added} | set(given_edits.removed)
    cast = Role(next(number for number in range(1, 999) if number not in taken), "motion:smile")
    request = AnimationRequest("photo.png", cast, face_edits=given_edits)
    assert from_json(request.to_json()) == request


def test_request_without_edits_is_read_as_no_edits() -> None:
    data = json.loads(AnimationRequest("photo.png", "1=motion:smile").to_json())
    del data["face_edits"]
    assert from_json(json.dumps(data)).face_edits == FaceEdits()


def test_texts_are_added_faces() -> None:
    assert FaceEdits(["3=1,2,30,40"], [2]) == FaceEdits((AddedFace(3, (1, 2, 30, 40)),), (2,))


@pytest.mark.parametrize(
    "text", ["", "3", "3=", "1,2,3,4", "3=1,2,3", "3=1,2,3,x", "0=1,2,3,4", "3=1,2,3,nan", "a=1,2,3,4"]
)
def test_wrong_text_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="added"):
        parse_added_face(text)


@pytest.mark.parametrize("box", [(5, 2, 5, 9), (5, 9, 7, 2), (0, 0, float("inf"), 9), (1, 2, 3), "1,2,3,4", None])
def test_wrong_box_is_refused(box: object) -> None:
    with pytest.raises(RequestError, match="the box of the added face 3 is"):
        AddedFace(3, box)  # type: ignore[arg-type]


def test_numbers_that_are_given_twice_are_refused() -> None:
    with pytest.raises(RequestError, match="face 2 is removed twice"):
        FaceEdits(removed=(2, 2))
    with pytest.raises(RequestError, match="face 3 is added twice"):
        FaceEdits(["3=1,2,3,4", "3=5,6,7,8"])


@pytest.mark.parametrize("data", [[], {"added": {}}, {"added": [{"face": 1}]}, {"removed": ["2"]}, {"boxes": []}])
def test_wrong_json_is_refused(data: object) -> None:
    with pytest.raises(RequestError):
        edits_from_dict(data)


def test_removed_face_cannot_be_cast_unless_it_is_added_again() -> None:
    with pytest.raises(RequestError, match="face 2 is cast, but it is removed"):
        AnimationRequest("photo.png", "2=motion:smile", face_edits=FaceEdits(removed=(2,)))
    replaced = AnimationRequest("photo.png", "2=motion:smile", face_edits=FaceEdits(["2=1,2,90,90"], (2,)))
    with pytest.raises(RequestError, match="face_edits is"):
        replace(replaced, face_edits=None)  # type: ignore[arg-type]
