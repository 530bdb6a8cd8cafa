"""A process group gives the latents of one process, stops together, and does not wait for a lost process."""

import os
import re
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FirstBlockCacheConfig

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, RequestError
from fantasyportrait.engines.wan_model import prepare_model
from fantasyportrait.pipelines.denoising import prepare_windows
from fantasyportrait.pipelines.loading import ModelFiles, load_pipeline
from fantasyportrait.pipelines.motion_conditioning import MotionConditioning
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.rank_loop import LoadCommand, run_rank
from fantasyportrait.pipelines.video_sampling import VideoJob
from fantasyportrait.runtime.process_group import (
    ParallelMode,
    ProcessGroup,
    enable_context_parallel,
    init_process_group,
    resolve_mode,
)
from fantasyportrait.runtime.profiles import get_profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.guidance import max_passes
from fantasyportrait.schema.regions import Regions
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.testing.tiny_faces import tiny_driven_face
from tests.processes import start_processes

CPU = torch.device("cpu")
StepEnd = Callable[..., dict[str, torch.Tensor]]


def job(frames: int = 9, height: int = 64, **options: Any) -> VideoJob:
    """Three faces with background between them; of the second, only the mouth is followed."""
    face_map = np.zeros((height, 96), np.int32)
    for face in (1, 2, 3):
        face_map[:, 32 * (face - 1) : 32 * (face - 1) + 16] = face
    features = np.random.default_rng(0).normal(size=(3, frames, 554)).astype(np.float32)
    mouth = Regions(head=False, eyes=False, emotion=False)
    faces = [tiny_driven_face(number, rows) for number, rows in enumerate(features, 1)]
    faces[1] = replace(faces[1], regions=mouth)
    pixels = np.random.default_rng(1).integers(0, 255, (height, 96, 3), np.uint8)
    return VideoJob(pixels, tuple(faces), face_map, frames, Sampling(**{"num_inference_steps": 2} | options))


LAST = job(seed=99)
"""On which a follower is lost."""
THREE = {"guidance_scale": 3.0, "portrait_guidance_end": 0.5}
PASSES_JOBS = {
    "two passes": job(),
    "three passes, one step with two": job(**THREE),
    "windows": job(frames=97, height=32, max_window_frames=81),
}
TOKENS_JOBS = {
    "as many tokens for each": job(**THREE),
    "a token more for some": job(height=48, frames=5),
    "a batch": job(batch_passes=True),
}


def latents(
    pipeline: FantasyPortraitPipeline, one: VideoJob, step_end: StepEnd | None = None, cancel: CancelToken | None = None
) -> torch.Tensor:
    return pipeline(
        one.pixels, one.faces, one.face_map, one.frames, one.sampling,
        callback_on_step_end=step_end, cancel=cancel, output_type="latent",
    ).frames  # fmt: skip


def load(order: LoadCommand, process_group: ProcessGroup) -> FantasyPortraitPipeline:
    process_group.barrier()
    pipeline = load_pipeline(order.files, order.runtime_config, order.profile, order.cache)
    if process_group.mode == "context":
        enable_context_parallel(pipeline.transformer, process_group)
    return pipeline


def _join(rank: int, size: int, port: int, parallel: str) -> ProcessGroup:
    """Join the process group with the environment that torchrun sets."""
    torch.set_num_threads(1)
    # diffusers asks how many accelerators there are, and divides by the number.
    torch.accelerator.device_count = lambda: 1
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    return init_process_group(parallel, CPU, timedelta(minutes=2))


def _order(folder: str, mode: ParallelMode, profile: str = "resident") -> LoadCommand:
    place = Path(folder)
    return LoadCommand(
        ModelFiles(place / "model"), RuntimeConfig(device="cpu"), get_profile(profile), place / "cache", mode
    )


def _interrupt(pipeline: FantasyPortraitPipeline, *_: object) -> dict[str, torch.Tensor]:
    """A callback that skips the steps after the first."""
    pipeline._interrupt = True
    return {}


def _lead(process_group: ProcessGroup, folder: str, mode: ParallelMode, jobs: dict[str, VideoJob]) -> None:
    """Rank 0: every job, one cancelled after a step, one interrupted, one cancelled at once, the first one again."""
    out: dict[str, Any] = {}
    order = _order(folder, mode, profile="stream" if mode == "context" else "resident")
    alone = load(order, ProcessGroup(0, 1, CPU))
    process_group.broadcast_object(order)
    pipeline = load(order, process_group.with_mode(mode))
    pipeline.process_group = process_group.with_mode(mode)
    for name, one in jobs.items():
        with process_group.shared_job(one):
            out[name] = latents(pipeline, one), latents(alone, one)
    first, token, steps = next(iter(jobs.values())), CancelToken(), []
    longer = replace(first, sampling=replace(first.sampling, num_inference_steps=4))

    def stop(*given: object) -> dict[str, torch.Tensor]:
        steps.append(given)
        token.cancel()
        return {}

    try:
        with process_group.shared_job(longer):
            latents(pipeline, longer, stop, token)
    except Cancelled:
        out["cancelled after"] = len(steps)
    with process_group.shared_job(longer):
        out["interrupted"] = latents(pipeline, longer, _interrupt), latents(alone, longer, _interrupt)
    token = CancelToken()
    token.cancel()
    try:
        with process_group.shared_job(first):
            latents(pipeline, first, cancel=token)  # before anything is shared
    except Cancelled:
        out["cancelled at once"] = True
    with process_group.shared_job(first):
        out["again"] = latents(pipeline, first), out[next(iter(jobs))][1]
    if mode == "context":
        pipeline.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.1))
        with pytest.raises(RequestError, match="FirstBlockCache decides"):
            latents(pipeline, first)
    else:
        out["lost"] = _lose(pipeline, process_group, Path(folder) / "given up")
    torch.save(out, f"{folder}/0.pt")


def _lose(pipeline: FantasyPortraitPipeline, process_group: ProcessGroup, given_up: Path) -> list[str]:
    """Rank 0 while the other rank hangs, and after it dies."""
    errors = []
    process_group.broadcast_object(LAST)
    for patience in (timedelta(seconds=1), timedelta(minutes=1)):
        pipeline.process_group = replace(process_group, timeout=patience)
        with pytest.raises(RuntimeError) as caught:
            latents(pipeline, LAST)
        errors.append(str(caught.value))
        given_up.touch()
    return errors


def _work(rank: int, size: int, port: int, folder: str, mode: ParallelMode, jobs: dict[str, VideoJob]) -> None:
    process_group = _join(rank, size, port, mode)
    if process_group.is_main_process and mode == "cfg":
        _lead(process_group, folder, mode, jobs)
        os._exit(0)  # the other one is gone
    with process_group:
        if process_group.is_main_process:
            _lead(process_group, folder, mode, jobs)
            return
        done: list[torch.Tensor] = []

        def sample(pipeline: FantasyPortraitPipeline, one: VideoJob) -> None:
            if one.sampling.seed == LAST.sampling.seed:
                torch.save(done, f"{folder}/{rank}.pt")
                while not Path(folder, "given up").exists():
                    time.sleep(0.05)
                os._exit(0)
            done.append(latents(pipeline, one))

        run_rank(process_group, load, sample)
        torch.save(done, f"{folder}/{rank}.pt")


@pytest.fixture(scope="module")
def folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assembled tiny model with cached prompt embeds, which every process would compute otherwise."""
    place = tmp_path_factory.mktemp("process_group")
    (place / "model").symlink_to(prepare_model(tiny_model.as_posix()).folder)
    pipeline = load(_order(str(place), "cfg"), ProcessGroup(0, 1, CPU))
    pipeline.encode_prompt("")
    return place


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.torchrun
@pytest.mark.parametrize(("mode", "size", "jobs"), [("cfg", 2, PASSES_JOBS), ("context", 4, TOKENS_JOBS)])
def test_process_group_latents_equal_single_process(
    folder: Path, mode: ParallelMode, size: int, jobs: dict[str, VideoJob]
) -> None:
    """CFG parallel is bit-equal; context parallel is tested with streamed blocks."""
    start_processes(_work, (size, _port(), str(folder), mode, jobs), size)
    out = torch.load(folder / "0.pt")
    assert out["cancelled after"] == 1 and out["cancelled at once"]
    if mode == "cfg":
        hung, died = out["lost"]
        assert "timed out" in hung.lower() and re.search("connection (closed|reset)", died.lower())
    for name in (*jobs, "interrupted", "again"):
        result, expected = out[name]
        if mode == "cfg":
            assert torch.equal(result, expected), name
        else:
            torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5, msg=name)
    for rank in range(1, size):
        done = torch.load(folder / f"{rank}.pt")
        assert len(done) == len(jobs) + 1, "the cancelled ones have no end"
        assert all(torch.equal(mine, out[name][0]) for mine, name in zip(done, (*jobs, "again"), strict=True))


def test_max_passes_of_request() -> None:
    three = Sampling(**THREE)
    assert max_passes(Sampling()) == 2
    assert max_passes(three) == 3 and max_passes(three, motion=False) == 2
    assert resolve_mode("auto", 2, max_passes(Sampling(portrait_guidance_scale=1))) == "context"


def test_prepare_windows_pins_motion_of_several_windows(
    monkeypatch: pytest.MonkeyPatch, pipeline: FantasyPortraitPipeline
) -> None:
    """Motion of one window is on the device; that of several in pinned memory, in the transformer's dtype."""
    one = job(frames=97, height=32, max_window_frames=81)
    faces = [replace(face, regions=Regions()) for face in one.faces]
    with torch.no_grad():
        windows = pipeline._window_inputs(one.pixels, faces, one.face_map, 97, 81)
    pinned: list[torch.Tensor] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self)
    gpu = torch.device("meta")
    ready = prepare_windows(windows, gpu, torch.bfloat16)
    assert len(windows) == 2 and len(pinned) == 6
    for before, after in zip(windows, ready, strict=True):
        assert isinstance(after.motion, MotionConditioning) and isinstance(before.motion, MotionConditioning)
        assert torch.equal(after.motion.tokens, before.motion.tokens.bfloat16())
    (alone,) = prepare_windows(windows[:1], gpu, torch.bfloat16)
    assert alone.motion is not None and alone.motion.tokens.device == alone.motion.scale.device == gpu
    assert len(pinned) == 6
