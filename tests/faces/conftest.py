"""Fixtures of the face tests: the bundled photo, its two heads, and the photo's faces, detected once."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.schema.face import MaskedFace
from tests.faces.scenes import Head


@pytest.fixture(scope="session")
def photo(two_person: Path) -> NDArray[np.uint8]:
    """The bundled photo, RGB."""
    return cv2.cvtColor(cv2.imread(str(two_person)), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="session")
def heads(photo: NDArray[np.uint8]) -> tuple[Head, Head]:
    """The two heads of the bundled photo."""
    return Head.of(photo, 0), Head.of(photo, 1)


@pytest.fixture(scope="session")
def analyser(models_dir: Path) -> FaceAnalyser:
    """One analyser for all tests."""
    return FaceAnalyser(FaceModels(models_dir))


@pytest.fixture(scope="session")
def faces(analyser: FaceAnalyser, photo: NDArray[np.uint8]) -> tuple[MaskedFace, ...]:
    """The faces of the bundled photo."""
    return analyser.masked(photo, analyser.find(photo))
