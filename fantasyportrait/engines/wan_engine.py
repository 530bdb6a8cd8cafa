"""The diffusion engine: a scene goes in, frames come out of the paper's model."""

import itertools
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.places import cache_folder
from fantasyportrait.core.shelf import KEPT_S
from fantasyportrait.engines.base import Frame, Scene, ScenePart, Watch
from fantasyportrait.engines.job_sizes import guidance_of, job_size, sampled_frames
from fantasyportrait.engines.wan_model import WanModel, check_model, lora_file, motion_nets, prepare_model, segmenter
from fantasyportrait.engines.wan_motion import MotionMaker, regions_of
from fantasyportrait.images.images import multiple_size, resize
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.motion.motion_code import MotionCode
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.schema.cast import FreeSource
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling

if TYPE_CHECKING:
    from fantasyportrait.pipelines.video_job import FaceJob, VideoJob
    from fantasyportrait.planning.fit import Plan
    from fantasyportrait.planning.job_needs import JobSize
    from fantasyportrait.planning.ladder import Ladder
    from fantasyportrait.runtime.team import Team

WAN_SIDE = 720
SIDE_MULTIPLE = 16
# A latent pixel is eight of the picture; shown at half size it is still small, and says enough.
LOOK_SCALE = 4
POLL_S = 0.2


@dataclass(frozen=True)
class _Loaded:
    """A model, and where its pipeline comes from."""

    model: WanModel
    ladder: "Ladder"


class WanEngine:
    """The diffusion engine. Its model stays loaded for the next request; one request runs at a time."""

    name = "wan"

    def __init__(
        self,
        models_dir: Path | None,
        cache_dir: Path | None,
        placement: Placement,
        decoder: Decoder,
        team: "Team | None" = None,
        cached_s: float = KEPT_S,
    ) -> None:
        self._decoder, self._cached_s = decoder, cached_s
        self._models_dir, self._cache_dir, self._placement, self._team = models_dir, cache_dir, placement, team
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    def check(self, request: AnimationRequest) -> None:
        """Raise `DependencyError` or `WeightsError` for what is not there, `RequestError` for a device that is not."""
        check_model(request.sampling, self._models_dir)
        if self._placement != Placement():
            from fantasyportrait.runtime.quiet import quiet_libraries

            with quiet_libraries():
                from fantasyportrait.runtime.place import check_placement
            check_placement(self._placement)

    def frame_size(self, width: int, height: int, max_side: int | None) -> tuple[int, int]:
        """The longest side as published, both sides multiples of 16."""
        return multiple_size(width, height, max_side or WAN_SIDE, SIDE_MULTIPLE)

    def render(self, scene: Scene, cancel: CancelToken, watch: Watch) -> Generator[Frame, None, None]:
        """Yield the scene's frames. Raises `WeightsError` where the model is not there, and `Cancelled`."""
        loading = watch.stage("model", 1)
        with self._turn(cancel):
            frames = sampled_frames(scene.timeline.frames)
            spare = frames - scene.timeline.frames
            if spare:
                watch.note(f"the model makes 4 k + 1 frames: {frames} are sampled and the last {spare} left out")
            cancel.check()
            loaded = self._model(scene.request.sampling)
            plan = loaded.ladder.ready(self._size(scene, frames), watch.remark, _both(watch), cancel)
            loading.at(1)
            cancel.check()
            job = self._job(scene, loaded.model, plan, cancel, watch)
            yield from itertools.islice(
                self._frames(loaded.ladder, plan.job.passes, job, cancel, watch), scene.timeline.frames
            )

    @contextmanager
    def _turn(self, cancel: CancelToken) -> Iterator[None]:
        """Wait until no other request is being rendered; whoever waits can still be cancelled."""
        while not self._lock.acquire(timeout=POLL_S):
            cancel.check()
        try:
            yield
        finally:
            self._lock.release()

    def _model(self, sampling: Sampling) -> _Loaded:
        """The request's model; the pipeline of another one is let go."""
        from fantasyportrait.runtime.quiet import quiet_libraries

        with quiet_libraries():
            from fantasyportrait.pipelines.loading import ModelFiles
            from fantasyportrait.planning.ladder import Ladder

            model = prepare_model(sampling.model, self._models_dir)
        if self._loaded is None or self._loaded.model != model:
            self._loaded = None
            ladder = Ladder(ModelFiles(model.folder, model.gguf), self._placement, self._cache, self._team)
            self._loaded = _Loaded(model, ladder)
        return self._loaded

    def _size(self, scene: Scene, frames: int) -> "JobSize":
        """The scene as an estimate sees it."""
        sampling = scene.request.sampling
        height, width = scene.pixels.shape[:2]
        free = [part for part in scene.parts if part.role is not None and isinstance(part.role.source, FreeSource)]
        faces = len(scene.parts) - len(free)
        return job_size(sampling, (width, height), frames, faces, lora_file(sampling, self._models_dir))

    def _job(self, scene: Scene, model: WanModel, plan: "Plan", cancel: CancelToken, watch: Watch) -> "VideoJob":
        """The scene as arrays: every face's motion, and where each face is."""
        from fantasyportrait.pipelines.video_job import VideoJob

        frames = plan.job.frames
        sampling = scene.request.sampling
        progress = watch.stage("motion", len(scene.parts))
        maker = MotionMaker(
            motion_nets(model, scene.request), self._cache, self._models_dir, self._decoder, self._cached_s
        )
        drives = maker.drives(scene, frames, progress.at, cancel)
        sam = segmenter(self._models_dir) if sampling.region == "segment" else None
        return VideoJob(
            pixels=scene.pixels,
            faces=tuple(_face_job(drive.part, drive.code) for drive in drives if drive.code is not None),
            face_map=regions_of(scene, drives, sam),
            frames=frames,
            steps=sampling.steps,
            seed=sampling.seed,
            guidance=guidance_of(sampling),
            prompt=sampling.prompt,
            negative_prompt=sampling.negative_prompt,
            batch_passes=plan.estimate.batch_passes,
            longest_pass=plan.longest_pass,
            tiled_encode=plan.estimate.tiled_encode,
            tiled_decode=plan.estimate.tiled_decode,
            lora=lora_file(sampling, self._models_dir),
            step_cache=sampling.step_cache,
            cache_threshold=sampling.cache_threshold,
        )

    def _frames(
        self, ladder: "Ladder", passes: float, job: "VideoJob", cancel: CancelToken, watch: Watch
    ) -> Iterator[Frame]:
        """One frame at a time, with a look at the latents after every step, which has so many passes on average."""
        from fantasyportrait.pipelines.video_job import sample_video
        from fantasyportrait.runtime.compute import compute_settings
        from fantasyportrait.runtime.place import device_of

        progress = watch.stage("sample", job.steps)
        times = [time.monotonic()]
        changes: list[str] = []

        def note(text: str) -> None:
            changes.append(text)
            _both(watch)(text)

        def on_step(done: int, picture: Frame) -> None:
            times.append(time.monotonic())
            progress.at(done)
            watch.look(resize(picture, (picture.shape[1] * LOOK_SCALE, picture.shape[0] * LOOK_SCALE), fast=True))
            # What changed on the way was not what was estimated, and a single step is mostly preparations.
            if done == job.steps > 1 and not changes:
                ladder.record(passes * _pass_s(times, job))

        with compute_settings(device_of(self._placement), self._placement.compile):
            for chunk in sample_video(ladder, job, on_step, note, cancel):
                cancel.check()
                yield from chunk

    @property
    def _cache(self) -> Path:
        return self._cache_dir or cache_folder()


def _both(watch: Watch) -> Callable[[str], None]:
    """Told at once and kept: what the user should know of how the video was made."""

    def say(text: str) -> None:
        watch.remark(text)
        watch.note(text)

    return say


def _pass_s(times: Sequence[float], job: "VideoJob") -> float:
    """Seconds of a pass, from the times at which each step ended: the first waited for preparations and compilers."""
    count = sum(len(job.guidance.passes(step, job.steps, bool(job.faces))) for step in range(1, job.steps))
    return (times[-1] - times[1]) / count


def _face_job(part: ScenePart, code: MotionCode) -> "FaceJob":
    """The face with its role's strength and switches; a still face follows its own portrait in full."""
    from fantasyportrait.pipelines.video_job import FaceJob

    role = part.role
    if role is None or role.source is None:
        return FaceJob(part.face.id, code.features)
    groups = {"head_pose": role.head, "eyes": role.eyes, "emotion": role.emotion, "mouth": role.mouth}
    return FaceJob(part.face.id, code.features, role.strength, groups)
