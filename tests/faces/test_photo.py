"""Faces of photos: detectors, landmarks, masks, and refused photos."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.core.errors import FaceError, WeightsError
from fantasyportrait.core.geometry import box_iou
from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.landmarks import Crop, head_pose
from fantasyportrait.faces.mesh import OVAL
from fantasyportrait.images.images import load_photo
from fantasyportrait.schema.face import MaskedFace
from fantasyportrait.testing.tiny_onnx import write_tiny_detector
from tests.faces.scenes import empty_room

Pixels = NDArray[np.uint8]
# Around forehead, cheeks and chin of the two faces in the bundled photo.
FACES = ([228, 110, 375, 305], [697, 140, 885, 330])


def test_faces_are_numbered_from_left_to_right(faces: tuple[MaskedFace, ...]) -> None:
    assert [face.id for face in faces] == [1, 2]
    for face, box in zip(faces, FACES, strict=True):
        assert box_iou(face.box, np.array(box, np.float32)) > 0.7
        assert face.presence > 0.9
        assert abs(face.pose.yaw) < 25


def test_a_mirrored_photo_numbers_the_other_way_round(
    analyser: FaceAnalyser, photo: Pixels, faces: tuple[MaskedFace, ...]
) -> None:
    mirrored = analyser.find(np.ascontiguousarray(photo[:, ::-1]))
    for face, other in zip(faces, reversed(mirrored), strict=True):
        expected = photo.shape[1] - 1 - face.landmarks[:, 0].mean()
        assert other.landmarks[:, 0].mean() == pytest.approx(expected, abs=4)
        assert other.pose.yaw == pytest.approx(-face.pose.yaw, abs=4)


def test_masks_cover_own_face_only(photo: Pixels, faces: tuple[MaskedFace, ...]) -> None:
    for face, other in (faces, faces[::-1]):
        assert face.mask.shape == photo.shape[:2]
        outline = np.zeros(photo.shape[:2], np.uint8)
        cv2.fillPoly(outline, [face.landmarks[OVAL, :2].astype(np.int32)], 1)
        assert face.mask[outline > 0].mean() > 240
        x, y = other.landmarks[1, :2].astype(int)
        assert face.mask[y, x] == 0
        assert face.mask[:15].max() == 0
        assert face.mask[:, 470:550].max() == 0
        assert face.mask[-60:].max() == 0


@pytest.mark.parametrize("kind", ["photo_detector", "frame_detector"])
def test_detectors_find_both_faces_and_their_eyes(
    models_dir: Path, photo: Pixels, faces: tuple[MaskedFace, ...], kind: str
) -> None:
    found = getattr(FaceModels(models_dir), kind)().detect(photo)
    assert len(found) == 2
    assert found[0].score >= found[1].score
    for detection, face in zip(sorted(found, key=lambda d: float(d.box[0])), faces, strict=True):
        assert box_iou(detection.box, face.box) > 0.4
        irises = face.landmarks[[468, 473], :2]
        width = np.linalg.norm(face.landmarks[454] - face.landmarks[234])
        assert np.linalg.norm(detection.eyes - irises, axis=1).max() < 0.15 * width


@pytest.mark.parametrize(("angle", "scale", "shift"), [(30, 1.0, (0, 0)), (-40, 0.6, (100, 40)), (0, 1.4, (-60, 20))])
def test_landmarks_move_with_the_photo(
    models_dir: Path, photo: Pixels, faces: tuple[MaskedFace, ...], angle: float, scale: float, shift: tuple[int, int]
) -> None:
    models = FaceModels(models_dir)
    net, face = models.landmark_net(), faces[0]
    middle = face.landmarks[:, :2].mean(axis=0)
    matrix = cv2.getRotationMatrix2D(tuple(map(float, middle)), -angle, scale)
    matrix[:, 2] += shift
    moved = cv2.warpAffine(photo, matrix, photo.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    truth = face.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    reading = net.read(moved, Crop.of_landmarks(np.column_stack([truth, face.landmarks[:, 2]]).astype(np.float32)))
    assert reading.presence > 0.9
    width = scale * np.linalg.norm(face.landmarks[454] - face.landmarks[234])
    assert np.linalg.norm(reading.points[:, :2] - truth, axis=1).mean() < 0.015 * width
    turned = head_pose(reading.points, models.canonical_face())
    assert turned.roll - face.pose.roll == pytest.approx(angle, abs=2)


def test_an_open_smile_is_read(faces: tuple[MaskedFace, ...]) -> None:
    smiles = [float(face.blendshapes[[44, 45]].mean()) for face in faces]
    assert smiles[0] > 0.4 > smiles[1]


def test_no_face_is_refused(analyser: FaceAnalyser) -> None:
    with pytest.raises(FaceError, match="no face was found in the photo: use one"):
        analyser.find(empty_room())


def test_a_small_face_is_refused_with_its_size(analyser: FaceAnalyser, photo: Pixels) -> None:
    small = cv2.resize(photo, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    with pytest.raises(FaceError, match=r"\d\d px wide; at least 50 px"):
        analyser.find(small)


def test_small_face_is_dropped_with_message(analyser: FaceAnalyser, photo: Pixels) -> None:
    crowd = photo.copy()
    tiny = cv2.resize(photo[:, 620:960], None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    crowd[: tiny.shape[0], 470 : 470 + tiny.shape[1]] = tiny
    messages: list[str] = []
    assert len(analyser.find(crowd, messages)) == 2
    assert messages == ["1 of 3 faces are under 50 px and were left out"]


def test_the_original_detector_finds_faces_too(models_dir: Path, two_person: Path, tmp_path: Path) -> None:
    """A tiny network finds one face in the middle of a picture, so a face is put there."""
    folder = tmp_path / "models"
    shutil.copytree(models_dir, folder, ignore=shutil.ignore_patterns("wan"))
    with pytest.raises(WeightsError, match="weights fetch face-nets"):
        FaceAnalyser(FaceModels(folder), "original")
    (folder / "wan/adapter").mkdir(parents=True)
    write_tiny_detector(folder / "wan/adapter/face_det.onnx")
    pixels = load_photo(two_person).pixels
    left, top, right, bottom = FACES[0]
    column, row = (left + right) // 2, (top + bottom) // 2
    middle = np.ascontiguousarray(pixels[max(row - 160, 0) : row + 160, column - 160 : column + 160])
    (face,) = FaceAnalyser(FaceModels(folder), "original").find(middle)
    assert box_iou(face.box, np.array([160 - 74, 160 - 98, 160 + 74, 160 + 98], np.float32)) > 0.5
