"""The pipeline's sampler follows the public code: sigmas, timesteps, and whole trajectories of all four cases."""

import re

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.denoising import Conditioning, WindowInputs
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.time_windows import TimeWindow
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.testing.tiny import tiny_vae
from tests.parity.cases import Cases
from tests.parity.test_transformer import box_labels, context, driven, motion_of


@pytest.fixture(scope="module")
def pipeline(adapter: MotionAdapter, transformer: FantasyPortraitTransformer3DModel) -> FantasyPortraitPipeline:
    made = FantasyPortraitPipeline(transformer, adapter, tiny_vae(), FlowMatchEulerDiscreteScheduler(shift=5.0))
    made.set_progress_bar_config(disable=True)
    return made


def test_sigmas_and_timesteps_equal_public_code(cases: Cases, pipeline: FantasyPortraitPipeline) -> None:
    case = cases.arrays("guidance")
    lengths = [int(key.rsplit("_", 1)[1]) for key in case if key.startswith("sigmas_")]
    assert lengths
    for steps in lengths:
        timesteps = pipeline.prepare_timesteps(steps)
        np.testing.assert_allclose(timesteps, case[f"timesteps_{steps}"], atol=2e-4)
        np.testing.assert_allclose(pipeline.scheduler.sigmas[:-1], case[f"sigmas_{steps}"], atol=2e-7)
        assert pipeline.scheduler.sigmas[-1] == 0


@pytest.mark.parametrize("batch_passes", [False, True], ids=["separate", "batched"])
@torch.no_grad()
def test_guidance_trajectories_equal_public_code(
    cases: Cases, pipeline: FantasyPortraitPipeline, batch_passes: bool
) -> None:
    case, inputs = cases.arrays("guidance"), cases.arrays("transformer")
    motion = motion_of(pipeline.motion_adapter, driven(inputs, 2), box_labels(inputs))
    told = context(inputs)
    negative = context({**case, "image": inputs["image"]}, "negative_text")["encoder_hidden_states"]
    texts = Conditioning(told["encoder_hidden_states"], negative, told["encoder_hidden_states_image"])
    latents = torch.from_numpy(inputs["latents"])[None]
    condition = torch.from_numpy(inputs["condition"])[None]
    window = WindowInputs(TimeWindow(0, latents.shape[2]), condition, motion)
    names = [re.fullmatch(r"text([\d.]+)_portrait([\d.]+)_steps(\d+)", key) for key in case]
    trajectories = [name for name in names if name]
    assert len(trajectories) >= 4
    for name in trajectories:
        sampling = Sampling(
            guidance_scale=float(name[1]),
            portrait_guidance_scale=float(name[2]),
            num_inference_steps=int(name[3]),
            batch_passes=batch_passes,
        )
        out = pipeline.denoise(latents, [window], texts, sampling)
        np.testing.assert_allclose(out.numpy(), case[name[0]], atol=1e-3, err_msg=name[0])
