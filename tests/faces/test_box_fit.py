"""Faces that are added by a box, and faces that are removed: the mesh fits, numbers stay."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.core.errors import FaceError
from fantasyportrait.core.geometry import box_iou
from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.box_fit import fit_face
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.images.images import load_photo
from fantasyportrait.schema.face import Face
from fantasyportrait.schema.face_edits import AddedFace, Box, FaceEdits
from tests.faces.scenes import empty_room
from tests.faces.test_cases import group

Pixels = NDArray[np.uint8]


def around(face: Face, scale: float = 1.0, shift: tuple[float, float] = (0, 0)) -> Box:
    """The face's box, scaled about its centre and shifted by shares of its size."""
    centre, size = (face.box[:2] + face.box[2:]) / 2, face.box[2:] - face.box[:2]
    centre = centre + size * shift
    left, top = centre - size * scale / 2
    right, bottom = centre + size * scale / 2
    return float(left), float(top), float(right), float(bottom)


def ids(analyser: FaceAnalyser, photo: Pixels, edits: FaceEdits) -> list[int]:
    return [face.id for face in analyser.find_upright(photo, [], edits=edits)[1]]


@pytest.mark.parametrize(("scale", "shift"), [(1.0, (0, 0)), (0.8, (0.15, -0.1)), (1.6, (-0.2, 0.1))])
def test_mesh_is_fitted_to_a_careless_box(
    models_dir: object, photo: Pixels, faces: tuple[Face, ...], scale: float, shift: tuple[float, float]
) -> None:
    net = FaceModels().landmark_net()
    for face in faces:
        fitted = fit_face(net, photo, around(face, scale, shift))
        width = np.ptp(face.landmarks[:, 0])
        error = np.linalg.norm(fitted.points[:, :2] - face.landmarks[:, :2], axis=1).mean()
        assert error < 0.05 * width


def test_box_without_a_face_is_refused_with_the_box(models_dir: object) -> None:
    with pytest.raises(FaceError, match=r"no face mesh fits the box \(x 50 to 150, y 40 to 160\): draw it tighter"):
        fit_face(FaceModels().landmark_net(), empty_room(), (50, 40, 150, 160))


def test_box_around_folds_of_cloth_is_refused(models_dir: object, two_person: Path) -> None:
    """The net sees a face there by 0.93."""
    with pytest.raises(FaceError, match="no face mesh fits"):
        fit_face(FaceModels().landmark_net(), load_photo(two_person).pixels, (302, 363, 360, 432))


def test_box_outside_of_the_photo_is_refused(models_dir: object, photo: Pixels) -> None:
    with pytest.raises(FaceError, match="outside of the photo"):
        fit_face(FaceModels().landmark_net(), photo, (5000, 40, 5100, 160))


def test_removed_face_leaves_its_number_unused(analyser: FaceAnalyser, photo: Pixels) -> None:
    rows = np.vstack([photo, photo])
    before = {face.id: face.box for face in analyser.find(rows)}
    _, after = analyser.find_upright(rows, [], edits=FaceEdits(removed=(2,)))
    assert [face.id for face in after] == [1, 3, 4]
    for face in after:
        assert np.array_equal(face.box, before[face.id])


def test_removed_face_is_added_again_under_its_or_another_number(
    analyser: FaceAnalyser, photo: Pixels, faces: tuple[Face, ...]
) -> None:
    box = around(faces[0], 1.2)
    for number in (1, 7):
        _, edited = analyser.find_upright(photo, [], edits=FaceEdits((AddedFace(number, box),), (1,)))
        assert [face.id for face in edited] == sorted([number, 2])
        assert box_iou(next(face for face in edited if face.id == number).box, faces[0].box) > 0.85


def test_added_face_on_an_existing_one_is_refused(
    analyser: FaceAnalyser, photo: Pixels, faces: tuple[Face, ...]
) -> None:
    with pytest.raises(FaceError, match="the added face 3 is the same as face 2"):
        ids(analyser, photo, FaceEdits((AddedFace(3, around(faces[1])),)))
    with pytest.raises(FaceError, match="give it a free number such as 3"):
        ids(analyser, photo, FaceEdits((AddedFace(2, around(faces[0])),)))


def test_edit_of_a_face_that_was_not_found_is_refused(analyser: FaceAnalyser, photo: Pixels) -> None:
    with pytest.raises(FaceError, match="face 5 is to be removed, but the faces found in the photo are 1, 2"):
        ids(analyser, photo, FaceEdits(removed=(5,)))


def test_photo_is_returned_with_the_reason_where_no_face_is_left(analyser: FaceAnalyser, photo: Pixels) -> None:
    analysis = analyser.analyse(photo, [], edits=FaceEdits(removed=(1, 2)))
    assert analysis.faces == () and "every face of the photo was removed" in str(analysis.refusal)
    room = empty_room()
    analysis = analyser.analyse(room, [])
    assert analysis.faces == () and analysis.pixels.shape == room.shape
    assert "no face was found in the photo" in str(analysis.refusal)


def test_numbers_do_not_depend_on_the_limit(analyser: FaceAnalyser, photo: Pixels) -> None:
    """A visitor's page offers fewer faces than a worker on another machine finds."""
    crowd = group(photo, (1200, 800), 4, 2, 180)
    boxes = {face.id: face.box for face in analyser.find(crowd)}
    offered = analyser.find(crowd, [], max_faces=3)
    assert len(offered) == 3
    for face in offered:
        assert np.array_equal(face.box, boxes[face.id])
