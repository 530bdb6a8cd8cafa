"""Largest error of the diffusion engine against the public code, case by case, with the tolerance.

python -m benchmarks.parity [folder of cases]

Without a folder: the cases of PARITY_DIR, or the committed ones. PARITY_SALT is the weights' salt, as for the tests.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from fantasyportrait.models.motion_encoder import CROP_SIDE
from fantasyportrait.pipelines.denoising import Conditioning, WindowInputs
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.time_windows import TimeWindow
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.testing.tiny import tiny_vae
from tests.parity.cases import Cases
from tests.parity.networks import adapter_of, encoder_of, transformer_of
from tests.parity.test_transformer import alone, box_labels, context, driven, motion_of, velocity

Row = tuple[str, float, float]


def main(cases: Cases) -> None:
    """Print a line for each case: its largest error and its tolerance."""
    for name, error, allowed in rows(cases):
        print(f"{name:<44} {error:9.1e}  of {allowed:.0e}")


@torch.no_grad()
def rows(cases: Cases) -> Iterator[Row]:
    """The cases, one after another."""
    adapter, transformer = adapter_of(cases), transformer_of(cases)
    case = cases.arrays("adapter")
    for key in case:
        if key.startswith("features_"):
            windows = adapter(torch.from_numpy(case[key]))[..., ::8].numpy()
            yield f"adapter, {key}", largest(windows, case[key.replace("features", "windows")]), 2e-5
    case = cases.arrays("motion_encoder")
    expected = np.concatenate([case[name] for name in ("head_pose", "eyes", "emotion", "mouth")], axis=1)
    crops = np.clip(cases.normal("input:crop", (len(expected), 3, CROP_SIDE, CROP_SIDE)), -1, 1).astype(np.float32)
    features = encoder_of(cases)(torch.from_numpy(crops)).numpy()
    yield "motion encoder, relative", largest(features, expected) / float(np.abs(expected).max()), 1e-4
    case = cases.arrays("transformer")
    one, two = motion_of(adapter, driven(case, 1), alone(case)), motion_of(adapter, driven(case, 2), box_labels(case))
    for key in case:
        if key.startswith("one_face_t"):
            out = velocity(transformer, case, one, int(key.rsplit("_t", 1)[1]))
            yield f"transformer, {key}", largest(out, case[key]), 2e-4
    yield "transformer, two_faces", largest(velocity(transformer, case, two, 700), case["two_faces"]), 2e-4
    pipeline = FantasyPortraitPipeline(transformer, adapter, tiny_vae(), FlowMatchEulerDiscreteScheduler(shift=5.0))
    pipeline.set_progress_bar_config(disable=True)
    told, guided = context(case), cases.arrays("guidance")
    negative = context({**guided, "image": case["image"]}, "negative_text")["encoder_hidden_states"]
    texts = Conditioning(told["encoder_hidden_states"], negative, told["encoder_hidden_states_image"])
    latents, condition = (torch.from_numpy(case[name])[None] for name in ("latents", "condition"))
    window = WindowInputs(TimeWindow(0, latents.shape[2]), condition, two)
    for key in guided:
        if found := re.fullmatch(r"text([\d.]+)_portrait([\d.]+)_steps(\d+)", key):
            sampling = Sampling(
                guidance_scale=float(found[1]),
                portrait_guidance_scale=float(found[2]),
                num_inference_steps=int(found[3]),
            )
            out = pipeline.denoise(latents, [window], texts, sampling)
            yield f"guidance, {key}", largest(out.numpy(), guided[key]), 1e-3


def largest(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest absolute difference."""
    return float(np.abs(found - expected).max())


if __name__ == "__main__":
    chosen = Cases.from_environment()
    main(replace(chosen, folder=Path(sys.argv[1])) if len(sys.argv) > 1 else chosen)
