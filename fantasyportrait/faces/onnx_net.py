"""A net in an ONNX file, run by onnxruntime: for the original face nets, which were made with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.core.optional import require


class OnnxNet:
    """One input, some outputs, on the CPU. Names in the file do not matter: outputs come in the file's order.

    Raises DependencyError without onnxruntime, WeightsError for a file that is missing or does not take the input.
    """

    def __init__(self, path: Path, input_shape: Sequence[int]) -> None:
        """Load `path`, which must take float32 of `input_shape`; a free dimension of the file fits any number."""
        runtime = require("onnxruntime", extra="wan", purpose="running the original face nets")
        if not path.is_file():
            raise WeightsError("{path} is missing: fetch the model again", path=path)
        self.path = path
        self._shape = tuple(input_shape)
        self._session = _session(runtime, path)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or not _fits(inputs[0].shape, self._shape):
            found = ", ".join(f"{one.name} {one.shape}" for one in inputs)
            raise WeightsError(
                "{path} takes {found}, but one input of {shape} is expected: "
                "it is another net, fetch the original file",
                path=path,
                found=found or "nothing",
                shape=list(self._shape),
            )
        self._input = inputs[0].name

    def run(self, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """All outputs for one input of the net's shape, as float32. Raises WeightsError where the net cannot run."""
        try:
            outputs = self._session.run(None, {self._input: values})
        except Exception as error:  # onnxruntime's own errors have no common base but this
            raise WeightsError(
                "{path} cannot be run ({error}): fetch the original file", path=self.path, error=error
            ) from error
        return [np.asarray(output, np.float32) for output in outputs]

    def output_error(self, outputs: Sequence[NDArray[np.float32]], wanted: str) -> WeightsError:
        """Return the error for outputs that differ from those `wanted`."""
        shapes = ", ".join(str(list(output.shape)) for output in outputs)
        return WeightsError(
            "{path} gives arrays of {shapes}, but {wanted} are expected: it is another net, fetch the original file",
            path=self.path,
            shapes=shapes or "no shape",
            wanted=wanted,
        )


def _session(runtime: Any, path: Path) -> Any:
    """An onnxruntime session on the CPU: the nets take a few milliseconds, a card would not pay."""
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors have no common base but this
        raise WeightsError(
            "{path} is not an ONNX file that can be read ({error}): delete it and fetch it", path=path, error=error
        ) from error


def _fits(found: Sequence[Any], wanted: Sequence[int]) -> bool:
    """True if a file's shape, with names or None for free dimensions, takes arrays of the wanted shape."""
    pairs = zip(found, wanted, strict=False)
    return len(found) == len(wanted) and all(not isinstance(own, int) or own == size for own, size in pairs)
