"""The original landmark network: outputs found by size, other files refused, a face followed and lost."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import DependencyError, WeightsError
from fantasyportrait.core.geometry import bounding_box
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.motion.aligners import LandmarkAligner, MeshAligner
from fantasyportrait.motion.alignment import FIVE_OF_222
from fantasyportrait.motion.portrait_landmarks import PortraitLandmarkNet, coordinate_pairs
from fantasyportrait.testing.tiny_onnx import tiny_face
from tests.factories_onnx import tiny_landmark_net, write_constant_net

INPUT = (1, 3, 128, 128)
GREY = np.full((480, 640, 3), 90, np.uint8)
BLACK = np.zeros_like(GREY)
BOX = np.array([100.0, 80, 300, 330])


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> PortraitLandmarkNet:
    """The tiny pair."""
    return tiny_landmark_net(tmp_path_factory.mktemp("nets"))


@pytest.fixture(scope="module")
def mesh(models_dir: Path) -> np.ndarray:
    """The canonical face, 250 px high."""
    canonical: CanonicalFace = FaceModels(models_dir).canonical_face()
    return (canonical.points * (250 / np.ptp(canonical.points[:, 1])) + [300, 240, 0]).astype(np.float32)


def test_landmarks_lie_in_the_box_they_start_from(nets: PortraitLandmarkNet) -> None:
    reading = nets.read(GREY, BOX)
    assert reading is not None and reading.probability > 0.99
    assert (reading.pitch, reading.yaw) == pytest.approx((90 / 255, 2 * 90 / 255), abs=1e-4)
    box = bounding_box(reading.points)
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, (BOX[:2] + BOX[2:]) / 2, atol=0.1)
    assert box[3] - box[1] == pytest.approx(250, abs=0.1)
    again = nets.read(GREY, reading.points)
    assert again is not None
    np.testing.assert_allclose(again.points, reading.points, atol=0.05)


def test_a_black_picture_shows_no_face(nets: PortraitLandmarkNet) -> None:
    assert nets.read(BLACK, BOX) is None


@given(st.sampled_from([(444,), (1, 444), (1, 222, 2), (222, 2)]))
def test_pairs_are_recognised(shape: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(coordinate_pairs(tiny_face().reshape(shape)), tiny_face())


@given(st.sampled_from([(444,), (1, 444), (1, 2, 222), (2, 222)]))
def test_all_x_first_is_recognised(shape: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(coordinate_pairs(tiny_face().T.reshape(shape)), tiny_face())


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_outputs_may_come_in_any_order(order: tuple[int, ...], tmp_path: Path) -> None:
    outputs = [tiny_face()[None], np.array([[3.0, -4.0]]), np.array([0.9])]
    net = PortraitLandmarkNet(write_constant_net(tmp_path / "net.onnx", INPUT, [outputs[i] for i in order]))
    reading = net.read(GREY, BOX)
    assert reading is not None
    assert (reading.pitch, reading.yaw, reading.probability) == pytest.approx((3, -4, 0.9))


@pytest.mark.parametrize(("probability", "seen"), [(0.00009, False), (0.00011, True)])
def test_the_face_is_lost_below_a_probability(probability: float, seen: bool, tmp_path: Path) -> None:
    outputs = [tiny_face()[None], np.zeros(2), np.array([probability])]
    net = PortraitLandmarkNet(write_constant_net(tmp_path / "net.onnx", INPUT, outputs))
    assert (net.read(GREY, BOX) is not None) == seen


def test_missing_damaged_or_other_net_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(WeightsError, match="missing: fetch the model again"):
        PortraitLandmarkNet(path)
    path.write_bytes(b"no net at all")
    with pytest.raises(WeightsError, match="not an ONNX file"):
        PortraitLandmarkNet(path)
    with pytest.raises(WeightsError, match=r"takes any \[1, 3, 64, 64\].*expected"):
        PortraitLandmarkNet(write_constant_net(path, (1, 3, 64, 64), [np.zeros(1)]))
    other = PortraitLandmarkNet(write_constant_net(path, INPUT, [np.zeros(1), np.zeros((1, 136))]))
    with pytest.raises(WeightsError, match=r"gives arrays of \[1\], \[1, 136\].*2 x 222"):
        other.read(GREY, BOX)


def test_without_onnxruntime_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(DependencyError, match=r"fantasyportrait\[wan\]"):
        PortraitLandmarkNet(tmp_path / "net.onnx")


def test_the_digest_names_the_contents(nets: PortraitLandmarkNet, tmp_path: Path) -> None:
    again = tiny_landmark_net(tmp_path)
    assert again.digest == nets.digest
    other = write_constant_net(tmp_path / "other.onnx", INPUT, [np.zeros(1)])
    assert PortraitLandmarkNet(other).digest != nets.digest


def test_the_mesh_gives_its_own_points(mesh: np.ndarray) -> None:
    five = MeshAligner().five_points(GREY, mesh)
    assert five is not None
    right, left, nose, right_corner, left_corner = five
    assert right[0] < nose[0] < left[0] and right_corner[0] < left_corner[0]
    assert right[1] < nose[1] < right_corner[1]
    assert MeshAligner().five_points(GREY, None) is None


def test_landmark_nets_start_at_mesh_and_continue(nets: PortraitLandmarkNet, mesh: np.ndarray) -> None:
    aligner = LandmarkAligner(nets)
    first = aligner.five_points(GREY, mesh)
    reading = nets.read(GREY, bounding_box(mesh))
    assert first is not None and reading is not None
    np.testing.assert_array_equal(first, reading.points[FIVE_OF_222])
    # The tiny net measures no movement: while the box still holds the face, it is found where it was.
    followed = aligner.five_points(GREY, mesh + np.float32([20, 0, 0]))
    np.testing.assert_allclose(followed, first, atol=0.1)


def test_lost_landmarks_restart_at_mesh(nets: PortraitLandmarkNet, mesh: np.ndarray) -> None:
    aligner = LandmarkAligner(nets)
    first = aligner.five_points(GREY, mesh)
    elsewhere = aligner.five_points(GREY, mesh - np.float32([220, 0, 0]))
    assert first is not None and elsewhere is not None
    np.testing.assert_allclose(elsewhere, first - [220, 0], atol=0.1)


def test_restarted_landmarks_are_unsmoothed(nets: PortraitLandmarkNet, mesh: np.ndarray) -> None:
    aligner = LandmarkAligner(nets)
    shifted = mesh + np.float32([20, 0, 0])
    aligner.five_points(GREY, mesh)
    assert aligner.five_points(BLACK, mesh) is None
    np.testing.assert_array_equal(aligner.five_points(GREY, shifted), LandmarkAligner(nets).five_points(GREY, shifted))
    assert aligner.five_points(GREY, None) is None
    np.testing.assert_array_equal(aligner.five_points(GREY, mesh), LandmarkAligner(nets).five_points(GREY, mesh))
