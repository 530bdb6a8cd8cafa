"""Counts which nets are loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest


def count_nets_loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From now on, the names of the files from which OpenCV loads nets, in order."""
    names: list[str] = []

    def counted(read: Callable[[str], Any]) -> Callable[[str], Any]:
        def load(path: str) -> Any:
            names.append(Path(path).name)
            return read(path)

        return load

    for function in ("readNetFromONNX", "readNetFromTFLite"):
        monkeypatch.setattr(cv2.dnn, function, counted(getattr(cv2.dnn, function)))
    return names
