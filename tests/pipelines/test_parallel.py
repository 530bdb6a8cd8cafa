"""Processes that share a job give what one gives, stop together, and none waits for one that is gone."""

import os
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
from fantasyportrait.pipelines.denoising import most_passes, ready_windows
from fantasyportrait.pipelines.following import LoadOrder, follow
from fantasyportrait.pipelines.loading import ModelFiles, load_pipeline
from fantasyportrait.pipelines.motion_inputs import DrivenFace, MotionInputs
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.video_job import FaceJob, VideoJob
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.profiles import profile_of
from fantasyportrait.runtime.team import Mode, Team, join_team, mode_of, spread
from fantasyportrait.schema.guidance import Guidance
from tests.processes import start_processes

CPU = torch.device("cpu")
StepEnd = Callable[..., dict[str, torch.Tensor]]


def job(frames: int = 9, height: int = 64, guidance: Guidance = Guidance(), **changes: Any) -> VideoJob:  # noqa: B008
    """Three faces with background between them; of the second, only the mouth is followed."""
    face_map = np.zeros((height, 96), np.int32)
    for face in (1, 2, 3):
        face_map[:, 32 * (face - 1) : 32 * (face - 1) + 16] = face
    features = np.random.default_rng(0).normal(size=(3, frames, 554)).astype(np.float32)
    groups = {"head_pose": False, "eyes": False, "emotion": False}
    faces = tuple(FaceJob(n + 1, rows, 1.0, groups if n == 1 else {}) for n, rows in enumerate(features))
    pixels = np.random.default_rng(1).integers(0, 255, (height, 96, 3), np.uint8)
    return VideoJob(pixels, faces, face_map, frames, steps=2, guidance=guidance, **changes)


LAST = job(seed=99)
"""On which a follower is lost."""
THREE = Guidance(text=3.0, portrait=4.0, end=0.5)
PASSES_JOBS = {
    "two passes": job(),
    "three passes, one step with two": job(guidance=THREE),
    "windows": job(frames=97, height=32, longest_pass=81),
}
TOKENS_JOBS = {
    "as many tokens for each": job(guidance=THREE),
    "a token more for some": job(height=48, frames=5),
    "a batch": job(batch_passes=True),
}


def latents(
    pipeline: FantasyPortraitPipeline, one: VideoJob, step_end: StepEnd | None = None, cancel: CancelToken | None = None
) -> torch.Tensor:
    faces = [DrivenFace(f.face, torch.from_numpy(f.features), f.strength, f.groups) for f in one.faces]
    return pipeline(
        one.pixels, faces, torch.from_numpy(one.face_map), num_frames=one.frames, num_inference_steps=one.steps,
        guidance=one.guidance, batch_passes=one.batch_passes, longest_pass=one.longest_pass,
        generator=torch.Generator().manual_seed(one.seed), callback_on_step_end=step_end, cancel=cancel,
        output_type="latent",
    ).frames  # fmt: skip


def load(order: LoadOrder, team: Team) -> FantasyPortraitPipeline:
    team.meet()
    pipeline = load_pipeline(order.files, order.placement, order.profile, order.cache)
    if team.mode == "tokens":
        spread(pipeline.transformer, team)
    return pipeline


def _join(rank: int, size: int, port: int, parallel: str) -> Team:
    """What torchrun does for a process of its own."""
    torch.set_num_threads(1)
    # diffusers asks how many accelerators there are, and divides by the number.
    torch.accelerator.device_count = lambda: 1
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    return join_team(parallel, CPU, timedelta(minutes=2))


def _order(folder: str, mode: Mode, profile: str = "resident") -> LoadOrder:
    place = Path(folder)
    return LoadOrder(ModelFiles(place / "model"), Placement(device="cpu"), profile_of(profile), place / "cache", mode)


def _lead(team: Team, folder: str, mode: Mode, jobs: dict[str, VideoJob]) -> None:
    """Rank 0: every job, one cancelled in the midst and one at once, the first one again, one that fails."""
    out: dict[str, Any] = {}
    order = _order(folder, mode, profile="stream" if mode == "tokens" else "resident")
    alone = load(order, Team(0, 1, CPU))
    team.send(order)
    pipeline = load(order, team.in_mode(mode))
    pipeline.team = team.in_mode(mode)
    for name, one in jobs.items():
        with team.leading(one):
            out[name] = latents(pipeline, one), latents(alone, one)
    first, token, steps = next(iter(jobs.values())), CancelToken(), []

    def stop(*given: object) -> dict[str, torch.Tensor]:
        steps.append(given)
        token.cancel()
        return {}

    try:
        with team.leading(replace(first, steps=4)):
            latents(pipeline, replace(first, steps=4), stop, token)
    except Cancelled:
        out["cancelled after"] = len(steps)
    token = CancelToken()
    token.cancel()
    try:
        with team.leading(first):
            latents(pipeline, first, cancel=token)  # before anything is shared
    except Cancelled:
        out["cancelled at once"] = True
    with team.leading(first):
        out["again"] = latents(pipeline, first), out[next(iter(jobs))][1]
    if mode == "tokens":
        pipeline.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.1))
        with pytest.raises(RequestError, match="FirstBlockCache decides"):
            latents(pipeline, first)
    else:
        out["lost"] = _lose(pipeline, team, Path(folder) / "given up")
    torch.save(out, f"{folder}/0.pt")


def _lose(pipeline: FantasyPortraitPipeline, team: Team, given_up: Path) -> list[str]:
    """What rank 0 meets when the other one hangs, and later when it dies."""
    errors = []
    team.send(LAST)
    for patience in (timedelta(seconds=1), timedelta(minutes=1)):
        pipeline.team = replace(team, timeout=patience)
        with pytest.raises(RuntimeError) as caught:
            latents(pipeline, LAST)
        errors.append(str(caught.value))
        given_up.touch()
    return errors


def _work(rank: int, size: int, port: int, folder: str, mode: Mode, jobs: dict[str, VideoJob]) -> None:
    team = _join(rank, size, port, mode)
    if team.leads and mode == "passes":
        _lead(team, folder, mode, jobs)
        os._exit(0)  # the other one is gone
    with team:
        if team.leads:
            _lead(team, folder, mode, jobs)
            return
        done: list[torch.Tensor] = []

        def sample(pipeline: FantasyPortraitPipeline, one: VideoJob) -> None:
            if one.seed == LAST.seed:
                torch.save(done, f"{folder}/{rank}.pt")
                while not Path(folder, "given up").exists():
                    time.sleep(0.05)
                os._exit(0)
            done.append(latents(pipeline, one))

        follow(team, load, sample)
        torch.save(done, f"{folder}/{rank}.pt")


@pytest.fixture(scope="module")
def folder(toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assembled toy model, and its prompt's rows, which every process would read otherwise."""
    place = tmp_path_factory.mktemp("team")
    (place / "model").symlink_to(prepare_model(toy_model.as_posix()).folder)
    pipeline = load(_order(str(place), "passes"), Team(0, 1, CPU))
    pipeline.encode_prompt("")
    return place


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize(("mode", "size", "jobs"), [("passes", 2, PASSES_JOBS), ("tokens", 4, TOKENS_JOBS)])
def test_a_team_gives_what_one_process_gives(folder: Path, mode: Mode, size: int, jobs: dict[str, VideoJob]) -> None:
    """Bit for bit where passes are shared; where tokens are, with blocks that are fetched one by one."""
    start_processes(_work, (size, _port(), str(folder), mode, jobs), size)
    out = torch.load(folder / "0.pt")
    assert out["cancelled after"] == 1 and out["cancelled at once"]
    if mode == "passes":
        hung, died = out["lost"]
        assert "timed out" in hung.lower() and "closed" in died.lower()
    for name in (*jobs, "again"):
        result, expected = out[name]
        if mode == "passes":
            assert torch.equal(result, expected), name
        else:
            torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5, msg=name)
    for rank in range(1, size):
        done = torch.load(folder / f"{rank}.pt")
        assert len(done) == len(jobs) + 1, "the cancelled ones have no end"
        assert all(torch.equal(mine, out[name][0]) for mine, name in zip(done, (*jobs, "again"), strict=True))


def test_how_many_passes_a_request_has_at_most() -> None:
    assert most_passes(Guidance(), 30, motion=True) == 2
    assert most_passes(THREE, 30, motion=True) == 3 and most_passes(THREE, 30, motion=False) == 2
    assert mode_of("auto", 2, most_passes(Guidance(1, 1), 30, motion=True)) == "tokens"


def test_motion_waits_where_it_is_reached_soonest(
    monkeypatch: pytest.MonkeyPatch, pipeline: FantasyPortraitPipeline
) -> None:
    """Of one window on the device; of several in pinned memory, in the transformer's numbers."""
    one = job(frames=97, height=32, longest_pass=81)
    faces = [DrivenFace(f.face, torch.from_numpy(f.features)) for f in one.faces]
    with torch.no_grad():
        windows = pipeline._plan(one.pixels, faces, torch.from_numpy(one.face_map), 97, 81)
    pinned: list[torch.Tensor] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self)
    card = torch.device("meta")
    ready = ready_windows(windows, card, torch.bfloat16)
    assert len(windows) == 2 and len(pinned) == 6
    for before, after in zip(windows, ready, strict=True):
        assert isinstance(after.motion, MotionInputs) and isinstance(before.motion, MotionInputs)
        assert torch.equal(after.motion.tokens, before.motion.tokens.bfloat16())
    (alone,) = ready_windows(windows[:1], card, torch.bfloat16)
    assert alone.motion is not None and alone.motion.tokens.device == alone.motion.scale.device == card
    assert len(pinned) == 6
