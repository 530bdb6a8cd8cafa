"""The faces of a photo with the edits of a request, and photos without a usable face."""

import numpy as np
import pytest

from fantasyportrait.core.errors import FaceError
from fantasyportrait.images.images import load_photo, resize
from fantasyportrait.schema.face_edits import AddedFace, FaceEdits
from fantasyportrait.service.input_reader import InputReader
from tests.conftest import Inputs


def test_edits_are_applied_to_the_photo_of_a_file_and_in_memory(inputs: Inputs) -> None:
    reader = InputReader()
    photo, found = reader.faces(inputs.pair)
    left, top, right, bottom = (float(value) for value in found[1].box)
    edits = FaceEdits((AddedFace(3, (left, top, right, bottom)),), (2,))
    for portrait in (inputs.pair, photo.pixels):
        _, faces = reader.faces(portrait, edits=edits)
        assert [face.id for face in faces] == [1, 3]
        assert np.abs(faces[1].landmarks[:, :2] - found[1].landmarks[:, :2]).mean() < 0.03 * found[1].side


def test_photo_without_a_usable_face_is_returned_with_the_reason(inputs: Inputs) -> None:
    reader, pixels = InputReader(), load_photo(inputs.pair).pixels
    height, width = pixels.shape[:2]
    small = resize(pixels, (width // 5, height // 5))
    photo, faces, refusal = reader.analyse(small)
    assert photo.pixels.shape == small.shape and faces == ()
    assert "the largest of 2 faces of the photo is" in str(refusal) and "at least 50 px are needed" in str(refusal)
    with pytest.raises(FaceError, match="the largest of 2 faces"):
        reader.faces(small)


def test_refused_edit_names_the_photo(inputs: Inputs) -> None:
    with pytest.raises(FaceError, match=r"pair|two_people"):
        InputReader().analyse(inputs.pair, edits=FaceEdits(["3=0,0,30,30"]))
