"""On a GPU: every offload mode gives the CPU's frames, and sequential offload takes little GPU memory."""

import numpy as np
import pytest
import torch

from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.runtime.offload import apply_offload, resolve_device
from fantasyportrait.runtime.profiles import Offload
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.sampling import Sampling
from tests.pipelines.conftest import FaceMap, base_folder, driven, image, pipeline, two_places

__all__ = ["base_folder", "image", "pipeline", "two_places"]  # fixtures

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.accelerator.is_available(), reason="there is no accelerator"),
]


def latents(pipeline: FantasyPortraitPipeline, image: np.ndarray, places: torch.Tensor) -> torch.Tensor:
    faces, sampling = [driven(1, 9), driven(2, 9)], Sampling(num_inference_steps=3)
    seen = []

    def on_step_end(pipe: FantasyPortraitPipeline, step: int, timestep: torch.Tensor, given: dict) -> dict:
        seen.append(pipe.preview_image(given["denoised"]))
        return {}

    out = pipeline(
        image, faces, places, num_frames=9, sampling=sampling, output_type="latent",
        callback_on_step_end=on_step_end, callback_on_step_end_tensor_inputs=["denoised"],
    ).frames  # fmt: skip
    assert len(seen) == 3
    return out.cpu()


@pytest.mark.parametrize("offload", ["none", "model", "stream", "disk", "sequential"])
def test_offloaded_gpu_frames_equal_cpu_frames(
    pipeline: FantasyPortraitPipeline, image: np.ndarray, two_places: FaceMap, offload: Offload
) -> None:
    expected = latents(pipeline, image, two_places)
    apply_offload(pipeline, offload, resolve_device(RuntimeConfig()))
    found = latents(pipeline, image, two_places)
    torch.testing.assert_close(found, expected, atol=2e-2, rtol=2e-2)
    chunks = list(pipeline.decode(found.to(resolve_device(RuntimeConfig()))))
    assert [len(chunk) for chunk in chunks] == [1, 4, 4]


def test_sequential_offload_holds_little_gpu_memory(
    pipeline: FantasyPortraitPipeline, image: np.ndarray, two_places: FaceMap
) -> None:
    apply_offload(pipeline, "sequential", resolve_device(RuntimeConfig()))
    latents(pipeline, image, two_places)
    weights = sum(w.nbytes for part in (pipeline.transformer, pipeline.vae) for w in part.parameters() if not w.is_meta)
    assert weights == 0
