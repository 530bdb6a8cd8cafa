"""Fixtures of the preview tests: the scene, analysed once."""

from pathlib import Path

import pytest

from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.mesh import CanonicalFace
from tests.preview.scene import Scene


@pytest.fixture(scope="session")
def scene(two_person: Path, models_dir: Path) -> Scene:
    """The bundled picture at 512x288 and its two faces."""
    return Scene.of(two_person, FaceAnalyser(FaceModels(models_dir)))


@pytest.fixture(scope="session")
def canonical(scene: Scene) -> CanonicalFace:
    """The mean face."""
    return scene.canonical
