"""Sampling to arrays: out of memory while sampling or decoding, and the messages."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, OutputError, RequestError
from fantasyportrait.pipelines import video_sampling
from fantasyportrait.pipelines.latent_preview import fit_rgb_factors
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.video_sampling import VideoJob, sample_video
from fantasyportrait.schema.events import Message, MessageCallback
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.testing.tiny_faces import tiny_driven_face


@pytest.fixture(scope="module")
def rgb_factors(base_folder: Path) -> torch.Tensor:
    """The latent-to-RGB map of preview images, fitted once since fitting is slow."""
    return fit_rgb_factors(AutoencoderKLWan.from_pretrained(base_folder / "vae"))


@pytest.fixture(autouse=True)
def fitted(pipeline: FantasyPortraitPipeline, rgb_factors: torch.Tensor) -> None:
    """Set the fitted latent-to-RGB map of the pipeline."""
    pipeline._rgb_factors = rgb_factors


@pytest.fixture
def another(pipeline: FantasyPortraitPipeline) -> FantasyPortraitPipeline:
    """A copy of the pipeline with equal weights."""
    parts = {name: copy.deepcopy(part) for name, part in pipeline.components.items()}
    made = FantasyPortraitPipeline(**parts)
    made._rgb_factors = pipeline._rgb_factors
    made.set_progress_bar_config(disable=True)
    return made


def job(frames: int, max_window_frames: int = 201) -> VideoJob:
    places = np.zeros((32, 48), np.int32)
    places[:, :16] = 1
    features = np.random.default_rng(0).normal(size=(frames, 554)).astype(np.float32)
    pixels = np.full((32, 48, 3), 120, np.uint8)
    return VideoJob(
        pixels,
        (tiny_driven_face(1, features),),
        places,
        frames,
        Sampling(num_inference_steps=1, portrait_guidance_scale=1, max_window_frames=max_window_frames),
    )


def guided_job(steps: int, batch_passes: bool = False) -> VideoJob:
    """Nine frames, two passes a step."""
    return replace(job(9), sampling=Sampling(num_inference_steps=steps, batch_passes=batch_passes))


def limit(pipeline: FantasyPortraitPipeline, latents: int) -> None:
    """Simulate a GPU on which this many latent frames fit."""

    def full(module: torch.nn.Module, args: tuple, kwargs: dict[str, torch.Tensor]) -> None:
        if kwargs["hidden_states"].shape[2] > latents:
            raise torch.OutOfMemoryError("no room")

    pipeline.transformer.register_forward_pre_hook(full, with_kwargs=True)


@dataclass
class Steps:
    """A pipeline provider; the first pipeline is in use."""

    pipelines: list[FantasyPortraitPipeline]

    @property
    def pipeline(self) -> FantasyPortraitPipeline:
        return self.pipelines[0]

    def fall_back(self, on_message: MessageCallback) -> bool:
        if len(self.pipelines) == 1:
            return False
        del self.pipelines[0]
        on_message(Message("one lower"))
        return True


def sample(pipeline: FantasyPortraitPipeline, given: VideoJob, messages: list[Message]) -> np.ndarray:
    source = Steps([pipeline])
    return np.concatenate(list(sample_video(source, given, lambda *_: None, messages.append, CancelToken())))


def test_sampling_splits_oversized_job_into_windows(pipeline: FantasyPortraitPipeline) -> None:
    messages: list[Message] = []
    expected = sample(pipeline, job(85, max_window_frames=81), messages)
    assert not messages
    limit(pipeline, 21)
    np.testing.assert_array_equal(sample(pipeline, job(85), messages), expected)
    (message,) = messages
    assert message.text == "85 frames in one pass do not fit into memory: they are sampled in windows of 81"


@pytest.mark.parametrize("frames", [33, 85])
def test_sampling_reports_job_that_never_fits(pipeline: FantasyPortraitPipeline, frames: int) -> None:
    limit(pipeline, 5)
    with pytest.raises(RequestError, match=rf"{min(frames, 81)} frames of 48 x 32 do not fit") as caught:
        sample(pipeline, job(frames), [])
    assert caught.value.__context__ is None, "it would keep alive what did not fit"


def full_at(module: torch.nn.Module, numbers: set[int]) -> list[int]:
    """Memory runs out in these calls of the module; returns the list that counts its calls."""
    calls: list[int] = []

    def full(*_: object) -> None:
        calls.append(1)
        if len(calls) in numbers:
            raise torch.OutOfMemoryError("no room")

    module.register_forward_pre_hook(full)
    return calls


def test_sampling_resumes_from_last_finished_step(
    pipeline: FantasyPortraitPipeline, another: FantasyPortraitPipeline
) -> None:
    """Two passes a step: one call each. Memory runs out in the third step; the second pipeline makes the rest."""
    given, messages = guided_job(4), []
    expected = sample(pipeline, given, messages)
    first, second = full_at(pipeline.transformer, {6}), full_at(another.transformer, set())
    done: list[int] = []
    chunks = sample_video(
        Steps([pipeline, another]), given, lambda step, _: done.append(step), messages.append, CancelToken()
    )
    np.testing.assert_array_equal(np.concatenate(list(chunks)), expected)
    assert (len(first), len(second)) == (6, 4) and done == [1, 2, 3, 4] and messages == [Message("one lower")]


def test_sampling_separates_passes_before_falling_back(
    pipeline: FantasyPortraitPipeline, another: FantasyPortraitPipeline
) -> None:
    given, messages = guided_job(3), []
    expected = sample(pipeline, given, messages)
    calls = full_at(pipeline.transformer, {2})
    chunks = sample_video(
        Steps([pipeline, another]), guided_job(3, batch_passes=True), lambda *_: None, messages.append, CancelToken()
    )
    # The first step was a batch, which rounds differently.
    assert np.abs(np.concatenate(list(chunks)).astype(int) - expected).max() <= 1
    assert len(calls) == 1 + 1 + 4
    (message,) = messages
    assert message.text == "a step's passes do not fit into memory together: they are made one by one, from step 2 on"


def test_decode_out_of_memory_in_small_tiles_raises(pipeline: FantasyPortraitPipeline) -> None:
    """The VAE is on the CPU already, so there is no further fallback."""
    # Frames 0 to 4, then no room; in tiles (here one), and in small ones, no room at once.
    full_at(pipeline.vae.decoder, {3, 4, 5})
    with pytest.raises(RequestError, match="48 x 32 cannot be decoded in the memory"):
        sample(pipeline, job(17), [])
    assert not pipeline.vae.use_tiling


@pytest.mark.parametrize("error", [Cancelled(), OutputError("the disk is full")])
def test_failed_fall_back_reports_its_cause(pipeline: FantasyPortraitPipeline, error: Exception) -> None:
    """The error of the fallback is raised, though the old pipeline is gone."""

    class Broken(Steps):
        def fall_back(self, on_message: MessageCallback) -> bool:
            self.pipelines.clear()
            raise error

    full_at(pipeline.transformer, {1})
    with pytest.raises(type(error)) as caught:
        list(sample_video(Broken([pipeline]), job(9), lambda *_: None, lambda _: None, CancelToken()))
    assert caught.value is error


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat the CPU as a GPU."""
    monkeypatch.setattr(video_sampling, "get_module_execution_device", lambda module: torch.device("meta"))


@pytest.mark.usefixtures("as_on_a_gpu")
def test_decode_falls_back_to_cpu(pipeline: FantasyPortraitPipeline) -> None:
    """No frame is yielded twice and nothing is sampled again."""
    given, messages = job(9), []
    expected = sample(pipeline, given, messages)
    full_at(pipeline.vae.decoder, set(range(2, 100)))  # after the first frame
    sampled = full_at(pipeline.transformer, set())
    np.testing.assert_array_equal(sample(pipeline, given, messages), expected)
    (message,) = messages
    assert "they are decoded on the CPU" in message.text and len(sampled) == 1
    assert not pipeline.vae.use_tiling


@pytest.mark.usefixtures("as_on_a_gpu")
def test_cpu_decode_out_of_memory_is_reported(
    pipeline: FantasyPortraitPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(type(pipeline.vae.decoder), "forward", full)
    messages: list[Message] = []
    with pytest.raises(RequestError, match="48 x 32 cannot be decoded .* not even in small tiles") as caught:
        sample(pipeline, job(9), messages)
    assert len(messages) == 1 and caught.value.__context__ is None


@pytest.mark.parametrize("encode", [True, False])
def test_planned_tiles_are_used_from_start(
    pipeline: FantasyPortraitPipeline, another: FantasyPortraitPipeline, encode: bool
) -> None:
    """By every pipeline of the job: some drivers spill to host memory instead of raising out of memory."""
    seen: list[tuple[str, bool]] = []
    for each in (pipeline, another):
        for name in ("encoder", "decoder"):
            part = getattr(each.vae, name)
            part.register_forward_pre_hook(lambda *_, name=name, vae=each.vae: seen.append((name, vae.use_tiling)))
    full_at(pipeline.transformer, {1})
    planned = replace(job(9), tiled_encode=encode, tiled_decode=not encode)
    chunks = sample_video(Steps([pipeline, another]), planned, lambda *_: None, lambda _: None, CancelToken())
    assert len(np.concatenate(list(chunks))) == 9
    assert set(seen) == {("encoder", encode), ("decoder", not encode)}
    assert not pipeline.vae.use_tiling and not another.vae.use_tiling


def test_tiling_is_reset_for_next_video(pipeline: FantasyPortraitPipeline) -> None:
    calls = []

    def full_once(module: torch.nn.Module, args: tuple) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("no room")

    pipeline.vae.decoder.register_forward_pre_hook(full_once)
    assert len(sample(pipeline, job(9), [])) == 9
    assert len(calls) > 3 and not pipeline.vae.use_tiling


def test_preview_images_come_with_every_step(pipeline: FantasyPortraitPipeline) -> None:
    seen: list[tuple[int, tuple[int, ...]]] = []
    pipeline._rgb_factors = None
    chunks = sample_video(
        Steps([pipeline]),
        job(9),
        lambda done, picture: seen.append((done, picture.shape)),
        lambda _: None,
        CancelToken(),
    )
    assert [len(chunk) for chunk in chunks] == [1, 4, 4]
    assert seen == [(1, (4, 6, 3))]
