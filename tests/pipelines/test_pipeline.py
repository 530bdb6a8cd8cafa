"""The pipeline end to end at tiny size: outputs, refused arguments, components that are never loaded."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from diffusers import FasterCacheConfig, PyramidAttentionBroadcastConfig
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, RequestError
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.motion_code import MotionCode
from fantasyportrait.schema.regions import Regions
from fantasyportrait.schema.sampling import Sampling
from tests.pipelines.conftest import HEIGHT, WIDTH, FaceMap, driven

Pixels = NDArray[np.uint8]


def run(pipeline: FantasyPortraitPipeline, image: Pixels, places: FaceMap | None, **changes: object) -> Pixels:
    """The frames or latents; changes that are fields of `Sampling` go into it."""
    options = {field.name for field in fields(Sampling)}
    sampling = Sampling(**{"num_inference_steps": 2, "seed": 5} | {k: v for k, v in changes.items() if k in options})
    given = {"driven": [driven(1, 9), driven(2, 9)], "num_frames": 9}
    given |= {name: value for name, value in changes.items() if name not in options}
    return pipeline(image, face_map=places, sampling=sampling, **given).frames


def test_pipeline_returns_frames(pipeline: FantasyPortraitPipeline, image: Pixels, two_places: FaceMap) -> None:
    frames = run(pipeline, image, two_places)
    assert frames.shape == (1, 9, HEIGHT, WIDTH, 3) and frames.dtype == np.uint8
    assert frames.std() > 1
    np.testing.assert_array_equal(run(pipeline, image, two_places), frames)
    other = run(pipeline, image, two_places, seed=6)
    assert (other != frames).mean() > 0.2


@pytest.mark.parametrize(("text", "portrait"), [(1, 4), (5, 4), (1, 1), (5, 1)])
def test_batched_passes_equal_separate_passes(
    pipeline: FantasyPortraitPipeline, image: Pixels, two_places: FaceMap, text: float, portrait: float
) -> None:
    scales = {"guidance_scale": text, "portrait_guidance_scale": portrait}
    separate, batched = (
        run(pipeline, image, two_places, **scales, batch_passes=batch, output_type="latent") for batch in (False, True)
    )
    torch.testing.assert_close(batched, separate, atol=1e-4, rtol=0)


def test_motion_changes_latents_at_its_face(
    pipeline: FantasyPortraitPipeline, image: Pixels, two_places: FaceMap
) -> None:
    def latents(**changes: object) -> torch.Tensor:
        return run(pipeline, image, two_places, output_type="latent", **changes)

    plain, one = latents(), driven(1, 9)

    def changes(first: DrivenFace[MotionCode], second: DrivenFace[MotionCode]) -> tuple[float, float]:
        """The mean change of the latents at face 1 and at face 2."""
        change = (latents(driven=[first, second]) - plain).abs()
        return float(change[..., :4].mean()), float(change[..., 8:].mean())

    at_first, at_second = changes(one, driven(2, 9, seed=7))
    assert at_second > at_first
    off = Regions(head=False, eyes=False, emotion=False, mouth=False)
    moved = []
    for change in (replace(one, strength=0.5), replace(one, regions=Regions(mouth=False)), replace(one, regions=off)):
        at_first, at_second = changes(change, driven(2, 9))
        assert at_first > at_second
        moved.append(at_first)
    # Half of a motion, or all but its mouth, is nearer to the whole of it than none of it.
    assert 0 < max(moved[:2]) < moved[2]


def test_pipeline_without_driven_faces_equals_base_model(pipeline: FantasyPortraitPipeline, image: Pixels) -> None:
    """Portrait guidance has no effect: one pass a step, and the frames of p = 1."""
    calls = []
    pipeline.transformer.register_forward_hook(lambda *_: calls.append(1))
    free = run(pipeline, image, None, driven=[], output_type="latent")
    assert len(calls) == 2
    assert torch.equal(free, run(pipeline, image, None, driven=[], portrait_guidance_scale=1, output_type="latent"))


def test_guidance_applies_to_its_fraction_of_steps(pipeline: FantasyPortraitPipeline, image: Pixels) -> None:
    calls = []
    pipeline.transformer.register_forward_hook(lambda *_: calls.append(1))
    given = {"driven": [driven(1, 9)], "num_inference_steps": 4, "output_type": "latent"}
    run(pipeline, image, None, portrait_guidance_end=0.5, **given)
    assert len(calls) == 2 + 2 + 1 + 1


def test_given_prompt_embeds_need_no_text_encoder(
    pipeline: FantasyPortraitPipeline, image: Pixels, two_places: FaceMap
) -> None:
    with_encoder = run(pipeline, image, two_places, output_type="latent")
    row = pipeline.encode_prompt("")[0, :1]
    pipeline.text_encoder = pipeline.tokenizer = None
    with pytest.raises(ValueError, match="needs a text encoder"):
        run(pipeline, image, two_places)
    asked = []
    pipeline.prompt_encoder = lambda prompt: asked.append(prompt) or row
    torch.testing.assert_close(run(pipeline, image, two_places, output_type="latent"), with_encoder)
    assert asked == [""]


def test_prompt_and_negative_prompt_change_latents(
    pipeline: FantasyPortraitPipeline, image: Pixels, two_places: FaceMap
) -> None:
    def latents(**changes: object) -> torch.Tensor:
        return run(pipeline, image, two_places, output_type="latent", guidance_scale=3, **changes)

    plain = latents()
    talk = latents(prompt="people talk")
    assert not torch.equal(talk, plain)
    assert not torch.equal(latents(negative_prompt="people smile"), plain)
    # Guidance away from the prompt itself leads nowhere.
    same = latents(prompt="people talk", negative_prompt="people talk")
    unguided = run(pipeline, image, two_places, output_type="latent", prompt="people talk")
    torch.testing.assert_close(same, unguided, atol=1e-4, rtol=0)
    unread = run(pipeline, image, two_places, output_type="latent", negative_prompt="people smile")
    assert torch.equal(unread, run(pipeline, image, two_places, output_type="latent"))


def test_clip_encodes_whole_image_once(pipeline: FantasyPortraitPipeline, image: Pixels) -> None:
    """The stock processor would cut the sides off: here a change at the very edge reaches the features."""
    edge = image.copy()
    edge[:, :8] = 255
    calls = []
    pipeline.image_encoder.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        first, again, other = (pipeline.encode_image(each) for each in (image, image.copy(), edge))
    assert first.shape == (1, 17, 32)
    # Every token of CLIP attends to every other.
    assert torch.equal(first, again) and (first != other).any(dim=-1).all()
    assert len(calls) == 2


def test_callback_can_change_latents(pipeline: FantasyPortraitPipeline, image: Pixels) -> None:
    seen, seen_keys = [], []

    def on_step_end(pipe: FantasyPortraitPipeline, step: int, timestep: torch.Tensor, given: dict) -> dict:
        seen_keys[:] = given
        picture = pipe.preview_image(given["denoised"])
        seen.append((step, float(timestep), picture.shape, picture.dtype, given["latents"].dtype))
        return {"latents": torch.zeros_like(given["latents"])} if step == 1 else {}

    out = run(
        pipeline,
        image,
        None,
        driven=[driven(1, 9)],
        callback_on_step_end=on_step_end,
        callback_on_step_end_tensor_inputs=["latents", "denoised"],
        output_type="latent",
    )
    assert [row[0] for row in seen] == [0, 1] and seen[0][1] == 1000.0
    assert sorted(seen_keys) == ["denoised", "latents"]
    assert seen[0][2:] == ((HEIGHT // 8, WIDTH // 8, 3), np.uint8, torch.float32)
    assert not out.any()


def test_callback_changes_prompt_embeds_of_later_steps(pipeline: FantasyPortraitPipeline, image: Pixels) -> None:
    given = {"driven": [driven(1, 9)], "num_inference_steps": 3, "guidance_scale": 3, "output_type": "latent"}
    names = ["prompt_embeds", "negative_prompt_embeds"]

    def latents(last: int, factor: float) -> list[torch.Tensor]:
        """The latents after each step, where the prompt is scaled at the end of step `last`."""
        seen = []

        def scale(pipe: FantasyPortraitPipeline, step: int, timestep: torch.Tensor, tensors: dict) -> dict:
            assert list(tensors) == [*names, "latents"] and tensors["prompt_embeds"].shape == (1, 512, 32)
            seen.append(tensors["latents"])
            return {name: factor * tensors[name] for name in names} if step == last else {}

        inputs = {"callback_on_step_end_tensor_inputs": [*names, "latents"]}
        run(pipeline, image, None, callback_on_step_end=scale, **inputs, **given)
        return seen

    plain, same, changed = latents(0, 1.0), latents(1, 1.0), latents(0, 0.0)
    assert all(map(torch.equal, plain, same))
    assert torch.equal(changed[0], plain[0]) and not torch.equal(changed[1], plain[1])


def test_callback_interrupts_remaining_steps(pipeline: FantasyPortraitPipeline, image: Pixels) -> None:
    seen: list[torch.Tensor] = []

    def stop(pipe: FantasyPortraitPipeline, step: int, timestep: torch.Tensor, given: dict) -> dict:
        seen.append(given["latents"])
        pipe._interrupt = pipe.num_timesteps == 3
        return {}

    given = {"driven": [driven(1, 9)], "callback_on_step_end": stop, "output_type": "latent"}
    out = run(pipeline, image, None, num_inference_steps=3, **given)
    assert pipeline.interrupt and len(seen) == 1 and torch.equal(out, seen[0])
    run(pipeline, image, None, num_inference_steps=2, **given)
    assert not pipeline.interrupt and len(seen) == 1 + 2, "the next video is not interrupted"


def test_cancel_stops_between_passes(pipeline: FantasyPortraitPipeline, image: Pixels) -> None:
    token, calls = CancelToken(), []

    def once(*_: object) -> None:
        calls.append(1)
        token.cancel()

    pipeline.transformer.register_forward_hook(once)
    with pytest.raises(Cancelled):
        run(pipeline, image, None, driven=[driven(1, 9)], cancel=token)
    assert len(calls) == 1


def test_stream_decodes_lazily(pipeline: FantasyPortraitPipeline, image: Pixels) -> None:
    chunks = run(pipeline, image, None, driven=[driven(1, 9)], output_type="stream")
    counts = [len(chunk) for chunk in chunks]
    assert counts == [1, 4, 4]


def test_pipeline_windows_cover_201_frames(
    pipeline: FantasyPortraitPipeline, image: Pixels, two_places: FaceMap
) -> None:
    faces = [driven(1, 201), driven(2, 201)]
    lengths = []
    pipeline.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(kwargs["hidden_states"].shape[2]), with_kwargs=True
    )
    given = {"driven": faces, "num_frames": 201, "num_inference_steps": 1, "portrait_guidance_scale": 1}
    given["output_type"] = "latent"
    assert run(pipeline, image, two_places, max_window_frames=81, **given).shape[2] == 51
    assert lengths == [21, 21, 21]
    lengths.clear()
    assert run(pipeline, image, two_places, max_window_frames=201, **given).shape[2] == 51
    assert lengths == [51]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_frames": 10}, "4 k \\+ 1"),
        ({"driven": [driven(1, 5)]}, "give one a frame"),
        ({"callback_on_step_end_tensor_inputs": ["noise"]}, "give some of latents, denoised, prompt_embeds"),
        ({"latents": torch.zeros(1, 16, 2, 8, 12)}, "is needed"),
    ],
)
def test_pipeline_refuses_invalid_arguments(
    pipeline: FantasyPortraitPipeline, image: Pixels, two_places: FaceMap, changes: dict, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        run(pipeline, image, two_places, **changes)


def test_pipeline_refuses_face_missing_from_map(
    pipeline: FantasyPortraitPipeline, image: Pixels, two_places: FaceMap
) -> None:
    with pytest.raises(RequestError, match="face 3 is driven but others cover it"):
        run(pipeline, image, two_places, driven=[driven(3, 9)])


@pytest.mark.parametrize("config", [PyramidAttentionBroadcastConfig, FasterCacheConfig])
def test_pipeline_refuses_caches_that_mix_passes(
    pipeline: FantasyPortraitPipeline, image: Pixels, two_places: FaceMap, config: type
) -> None:
    def timestep() -> int:
        return 500

    settings = config(spatial_attention_block_skip_range=2, current_timestep_callback=timestep)
    pipeline.transformer.enable_cache(settings)
    for batch in (False, True):
        with pytest.raises(ValueError, match="portrait guidance would vanish"):
            run(pipeline, image, two_places, batch_passes=batch)


def test_attention_mask_is_shared_by_all_frames(
    pipeline: FantasyPortraitPipeline, image: Pixels, two_places: FaceMap
) -> None:
    """A mask for each latent frame only where groups are off."""
    from fantasyportrait.pipelines.motion_conditioning import motion_conditioning, token_labels

    labels = token_labels(two_places)
    faces = [driven(1, 17), driven(2, 17)]
    whole = motion_conditioning(pipeline.motion_adapter, faces, labels)
    off = motion_conditioning(
        pipeline.motion_adapter, [faces[0], replace(faces[1], regions=Regions(eyes=False))], labels
    )
    assert whole.mask.shape[:2] == (1, 1) and off.mask.shape[:2] == (1, 5)


def test_pipeline_refuses_invalid_images(pipeline: FantasyPortraitPipeline, image: Pixels) -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        run(pipeline, image[:60], None)
    with pytest.raises(ValueError, match="uint8"):
        run(pipeline, image.astype(np.float32), None)
    with pytest.raises(ValueError, match="no face map"):
        run(pipeline, image, None)


def test_last_step_prediction_equals_result(pipeline: FantasyPortraitPipeline, image: Pixels) -> None:
    """At the last step no noise is left, so the predicted clean latents equal the result."""
    last = {}
    pipeline(
        image, [driven(1, 5)], num_frames=5, sampling=Sampling(num_inference_steps=3), output_type="latent",
        callback_on_step_end_tensor_inputs=["latents", "denoised"],
        callback_on_step_end=lambda pipe, step, timestep, given: last.update(given) or {},
    )  # fmt: skip
    torch.testing.assert_close(last["denoised"], last["latents"])


def test_windowed_video_keeps_portrait_colours(
    pipeline: FantasyPortraitPipeline, image: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Colours are corrected in windows only; one pass gives the original values."""
    matched, image = [], image[::2, ::2]
    real = FantasyPortraitPipeline.decode
    monkeypatch.setattr(
        FantasyPortraitPipeline, "decode", lambda self, out, match=None: matched.append(match) or real(self, out, match)
    )
    given = {"driven": [driven(1, 85)], "num_frames": 85, "num_inference_steps": 1, "portrait_guidance_scale": 1}
    windows = run(pipeline, image, None, max_window_frames=81, **given)
    whole = run(pipeline, image, None, max_window_frames=85, **given)
    assert matched[0] is image and matched[1] is None

    def off(frames: Pixels) -> float:
        return float(np.abs(frames[0, -1].mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max())

    assert off(windows) < 0.5 * off(whole)
