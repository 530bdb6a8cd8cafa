"""Tiny versions of the two original ONNX nets: the right inputs and outputs, and a face in the middle.

They test the diffusion engine's whole path without the original weights. They react to brightness only: in a
black picture they find no face.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.optional import require

_OPSET = 13
_IR_VERSION = 8
_STEEP = 400.0

_DETECTOR_INPUT = (1, 3, 272, 160)
_STRIDES = (8, 16, 32)
_BINS = 8
# The one box, in strides of 32 px from the corner of the middle cell: left, top, right, bottom.
_BOX = (1.25, 1.5, 1.25, 1.5)

_LANDMARK_INPUT = (1, 3, 128, 128)
_POINTS = 222
# A face as high as 85 % of the crop: where the next crop, laid around it, finds it again.
_HEIGHT = 0.85
_SHAPE = 0.88


def write_tiny_detector(path: Path) -> None:
    """Write a net like `face_det.onnx`: in a picture with any light it finds one face, in the middle.

    Raises DependencyError without the package onnx.
    """
    nodes = [_node("ReduceMax", ["image"], ["light"], axes=[1, 2, 3], keepdims=0)]
    constants: dict[str, NDArray[np.float32]] = {
        "dark": np.array([-1.5], np.float32),  # normalised black is below, any light above
        "steep": np.array([_STEEP], np.float32),
    }
    nodes += _switch("light")
    outputs: dict[str, Sequence[int]] = {}
    for stride in _STRIDES:
        rows, columns = (-(-side // stride) for side in _DETECTOR_INPUT[2:])
        scores, logits = np.full((1, rows * columns, 1), 0.01, np.float32), _box_logits(rows * columns)
        if stride == _STRIDES[-1]:
            scores[0, rows // 2 * columns + columns // 2] = 0.9
        constants[f"score_table_{stride}"], constants[f"logits_{stride}"] = scores, logits
        nodes.append(_node("Mul", [f"score_table_{stride}", "on"], [f"scores_{stride}"]))
        nodes.append(_node("Mul", [f"logits_{stride}", "on"], [f"distances_{stride}"]))
        outputs[f"scores_{stride}"], outputs[f"distances_{stride}"] = scores.shape, logits.shape
    _write(path, ("image", _DETECTOR_INPUT), nodes, constants, outputs)


def write_tiny_landmarks(path: Path) -> None:
    """Write a net like `face_landmark.onnx`: a mean face upright in the crop, the mouth wider open in the light.

    Raises DependencyError without the package onnx.
    """
    nodes = [
        _node("ReduceMean", ["crop"], ["light"], axes=[1, 2, 3], keepdims=0),
        *_switch("light"),
        _node("Mul", ["light", "opening"], ["change"]),
        _node("Add", ["change", "face"], ["coordinates"]),
        _node("Mul", ["light", "turn"], ["angles"]),
        _node("Reshape", ["on", "one"], ["probability"]),
    ]
    face = tiny_face()
    opening = np.zeros_like(face)
    mouth = slice(118, 182)
    opening[mouth, 1] = 0.03 * np.sign(np.round(face[mouth, 1] - face[133, 1], 4))
    constants: dict[str, NDArray[Any]] = {
        "dark": np.array([0.02], np.float32),
        "steep": np.array([_STEEP * 2], np.float32),
        "face": face.T.reshape(1, -1),
        "opening": opening.T.reshape(1, -1),
        "turn": np.array([[1.0, 2.0]], np.float32),
        "one": np.array([1, 1], np.int64),
    }
    outputs = {"angles": (1, 2), "coordinates": (1, 2 * _POINTS), "probability": (1, 1)}
    _write(path, ("crop", _LANDMARK_INPUT), nodes, constants, outputs)


def tiny_face() -> NDArray[np.float32]:
    """The mean face, float32 (222, 2) in shares of the crop, proportioned like the mesh's canonical face."""
    points = np.zeros((_POINTS, 2))
    # In face heights from the middle, x right, y down.
    points[0:33] = _arc((0, 0), (_SHAPE / 2, 0.5), 180, 0, 33)  # contour: ear, chin, ear
    points[33:48] = _arc((0, -0.01), (0.08, 0.05), 180, 0, 15)
    points[36] = 0, 0.03
    points[48:61] = _arc((-0.18, -0.3), (0.1, 0.2), 180, 360, 13)  # brows, as high as the hair: the crop's upper edge
    points[61:74] = _arc((0.18, -0.3), (0.1, 0.2), 180, 360, 13)
    for eye, x in ((74, -0.178), (96, 0.178)):
        points[eye : eye + 22] = _arc((x, -0.182), (0.075, 0.03), 180, 180 + 360, 22)
    for pupil, x in ((182, -0.178), (202, 0.178)):
        points[pupil] = x, -0.182
        points[pupil + 1 : pupil + 20] = _arc((x, -0.182), (0.03, 0.03), 180, 180 + 360, 19)
    points[118:182] = _arc((0, 0.214), (0.139, 0.06), 0, 360, 64)
    points[149], points[133] = (-0.139, 0.214), (0.139, 0.214)
    return (0.5 + _HEIGHT * points).astype(np.float32)


def _arc(
    centre: tuple[float, float], radii: tuple[float, float], start: float, end: float, count: int
) -> NDArray[np.float64]:
    """Points (count, 2) on an ellipse, angles in degrees, 90 below the centre."""
    angles = np.radians(np.linspace(start, end, count))
    return np.asarray(np.array(centre) + np.array(radii) * np.stack([np.cos(angles), np.sin(angles)], axis=1))


def _box_logits(cells: int) -> NDArray[np.float32]:
    """Logits (1, N, 32) whose softmax has the box's four distances as means."""
    sides = []
    for distance in _BOX:
        shares = np.full(_BINS, 1e-9)
        whole = int(distance)
        shares[whole], shares[whole + 1] = 1 - (distance - whole), max(distance - whole, 1e-9)
        sides.append(np.log(shares))
    return np.tile(np.concatenate(sides), (1, cells, 1)).astype(np.float32)


def _switch(light: str) -> list[Any]:
    """Nodes that make `on`: 1 where `light` is above `dark`, 0 below."""
    return [
        _node("Sub", [light, "dark"], ["above"]),
        _node("Mul", ["above", "steep"], ["pushed"]),
        _node("Sigmoid", ["pushed"], ["on"]),
    ]


def _node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Any:
    return _onnx().helper.make_node(kind, inputs, outputs, **attributes)


def _write(
    path: Path,
    image: tuple[str, Sequence[int]],
    nodes: Sequence[Any],
    constants: Mapping[str, NDArray[Any]],
    outputs: Mapping[str, Sequence[int]],
) -> None:
    """Check the graph and write it; `image` is the input's name and shape."""
    onnx = _onnx()
    floats, helper = onnx.TensorProto.FLOAT, onnx.helper
    graph = helper.make_graph(
        list(nodes),
        path.stem,
        [helper.make_tensor_value_info(image[0], floats, image[1])],
        [helper.make_tensor_value_info(name, floats, shape) for name, shape in outputs.items()],
        [onnx.numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))


def _onnx() -> Any:
    return require("onnx", extra="dev", purpose="making tiny nets")
