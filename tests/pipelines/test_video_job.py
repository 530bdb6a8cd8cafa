"""The pipeline behind arrays: memory that runs out while sampling, and what is told."""

import numpy as np
import pytest
import torch

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.pipelines.guidance import Guidance
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.video_job import FaceJob, VideoJob, sample_video


def job(frames: int, longest_pass: int = 201) -> VideoJob:
    places = np.zeros((32, 48), np.int32)
    places[:, :16] = 1
    features = np.random.default_rng(0).normal(size=(frames, 554)).astype(np.float32)
    pixels = np.full((32, 48, 3), 120, np.uint8)
    return VideoJob(
        pixels, (FaceJob(1, features),), places, frames, steps=1, guidance=Guidance(1, 1), longest_pass=longest_pass
    )


def limit(pipeline: FantasyPortraitPipeline, latents: int) -> None:
    """A card on which so many latent frames fit."""

    def full(module: torch.nn.Module, args: tuple, kwargs: dict[str, torch.Tensor]) -> None:
        if kwargs["hidden_states"].shape[2] > latents:
            raise torch.OutOfMemoryError("no room")

    pipeline.transformer.register_forward_pre_hook(full, with_kwargs=True)


def sample(pipeline: FantasyPortraitPipeline, given: VideoJob, notes: list[str]) -> np.ndarray:
    return np.concatenate(list(sample_video(pipeline, given, lambda *_: None, notes.append, CancelToken())))


def test_what_does_not_fit_in_one_pass_is_made_in_windows(pipeline: FantasyPortraitPipeline) -> None:
    notes: list[str] = []
    expected = sample(pipeline, job(101, longest_pass=81), notes)
    assert not notes
    limit(pipeline, 21)
    np.testing.assert_array_equal(sample(pipeline, job(101), notes), expected)
    (note,) = notes
    assert note == "101 frames in one pass do not fit into memory: they are sampled in windows of 81"


@pytest.mark.parametrize("frames", [33, 101])
def test_what_does_not_fit_at_all_is_said(pipeline: FantasyPortraitPipeline, frames: int) -> None:
    limit(pipeline, 5)
    with pytest.raises(RequestError, match=rf"{min(frames, 81)} frames of 48 x 32 do not fit") as caught:
        sample(pipeline, job(frames), [])
    assert caught.value.__context__ is None, "it would keep alive what did not fit"


def test_tiles_of_one_video_are_not_the_next_ones(pipeline: FantasyPortraitPipeline) -> None:
    calls = []

    def full_once(module: torch.nn.Module, args: tuple) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("no room")

    pipeline.vae.decoder.register_forward_pre_hook(full_once)
    assert len(sample(pipeline, job(9), [])) == 9
    assert len(calls) > 3 and not pipeline.vae.use_tiling


def test_looks_come_with_every_step(pipeline: FantasyPortraitPipeline) -> None:
    seen: list[tuple[int, tuple[int, ...]]] = []
    chunks = sample_video(
        pipeline, job(9), lambda done, picture: seen.append((done, picture.shape)), lambda _: None, CancelToken()
    )
    assert [len(chunk) for chunk in chunks] == [1, 4, 4]
    assert seen == [(1, (4, 6, 3))]
