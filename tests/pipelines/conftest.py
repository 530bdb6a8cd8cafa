"""A tiny pipeline: every class real, every number random."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline
from numpy.typing import NDArray

from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.motion_code import MotionCode
from fantasyportrait.testing.tiny import tiny_adapter, tiny_base, tiny_transformer
from fantasyportrait.testing.tiny_faces import tiny_driven_face

HEIGHT, WIDTH = 64, 96
FaceMap = NDArray[np.int64]


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stock image-to-video repository at tiny size."""
    folder = tmp_path_factory.mktemp("tiny") / "base"
    tiny_base(folder)
    return folder


@pytest.fixture
def pipeline(base_folder: Path) -> FantasyPortraitPipeline:
    """The whole pipeline, text encoder included."""
    stock = WanImageToVideoPipeline.from_pretrained(base_folder)
    made = FantasyPortraitPipeline(
        tiny_transformer(),
        tiny_adapter(),
        stock.vae,
        FlowMatchEulerDiscreteScheduler(shift=5.0),
        stock.image_encoder,
        stock.image_processor,
        stock.tokenizer,
        stock.text_encoder,
    )
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="session")
def image() -> NDArray[np.uint8]:
    """A portrait of 96 x 64 pixels: smooth colours."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, 128 + 0 * x], axis=2).astype(np.uint8)


@pytest.fixture(scope="session")
def two_places() -> FaceMap:
    """A face map: face 1 on the left, face 2 on the right, background between."""
    places = np.zeros((HEIGHT, WIDTH), np.int64)
    places[:, :32], places[:, 64:] = 1, 2
    return places


def driven(face: int, frames: int, seed: int = 0) -> DrivenFace[MotionCode]:
    """A face with random features."""
    features = torch.randn(frames, 554, generator=torch.Generator().manual_seed(seed + face))
    return tiny_driven_face(face, features.numpy())
