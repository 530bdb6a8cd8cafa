"""A net in a TFLite or ONNX file, run by OpenCV."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


class DnnNet:
    """A net that is loaded on its first run and kept for the next ones. Thread-safe.

    OpenCV's nets serve one thread at a time, and one read from ONNX works for inputs of one shape only. So threads that
    run at the same time, and another shape, load further nets; of those not in use the last ones are kept.
    """

    def __init__(self, locate: Callable[[], Path], outputs: Sequence[str] = (), max_idle: int = 8) -> None:
        """`locate` returns the verified path of the file; `outputs` are the names of its outputs, all where empty;
        `max_idle` is how many nets not in use are kept."""
        self._locate, self._outputs, self._max_idle = locate, tuple(outputs), max_idle
        self._idle: list[tuple[tuple[int, ...], cv2.dnn.Net]] = []
        self._lock = threading.Lock()

    def run(self, values: NDArray[Any]) -> list[NDArray[np.float32]]:
        """The outputs for one input. Raises `WeightsError` where the file is missing and cannot be fetched."""
        net = self._acquire(values.shape)
        net.setInput(values)
        results = net.forward(self._outputs or net.getUnconnectedOutLayersNames())
        with self._lock:
            self._idle = [*self._idle, (values.shape, net)][-self._max_idle :]
        return [np.asarray(result, np.float32) for result in results]

    def _acquire(self, shape: tuple[int, ...]) -> cv2.dnn.Net:
        """An idle net for inputs of this shape, or a new one."""
        with self._lock:
            for index, (known, _) in enumerate(self._idle):
                if known == shape:
                    return self._idle.pop(index)[1]
        path = self._locate()
        read = cv2.dnn.readNetFromONNX if path.suffix == ".onnx" else cv2.dnn.readNetFromTFLite
        return read(str(path))
