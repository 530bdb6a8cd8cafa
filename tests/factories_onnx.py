"""ONNX files made in the test: the tiny pair of face nets, and nets of any other shape."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from fantasyportrait.motion.portrait_landmarks import PortraitLandmarkNet
from fantasyportrait.testing.tiny_onnx import write_tiny_landmarks


def tiny_landmark_net(folder: Path) -> PortraitLandmarkNet:
    """The tiny landmark net, written to `folder` and loaded."""
    write_tiny_landmarks(folder / "face_landmark.onnx")
    return PortraitLandmarkNet(folder / "face_landmark.onnx")


def write_constant_net(path: Path, input_shape: Sequence[int], outputs: Sequence[np.ndarray]) -> Path:
    """A net that takes `input_shape` and gives the same `outputs` whatever it sees; the path comes back."""
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    names = [f"output_{number}" for number in range(len(outputs))]
    nodes = [
        helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(np.asarray(values, np.float32)))
        for name, values in zip(names, outputs, strict=True)
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("any", floats, input_shape)],
        [helper.make_tensor_value_info(name, floats, v.shape) for name, v in zip(names, outputs, strict=True)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path
