"""The diffusion engine: a scene goes in, frames come out of the paper's model."""

import itertools
import math
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.media.images import multiple_size, resize
from fantasyportrait.motion.motion_code import MotionCode
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.service.engines import PREVIEW_SIDE, Frame, Scene, ScenePart, Watch
from fantasyportrait.service.places import cache_folder
from fantasyportrait.service.request import AnimationRequest
from fantasyportrait.service.sampling import Sampling
from fantasyportrait.service.wan_model import WanModel, check_model, motion_nets, prepare_model, segmenter
from fantasyportrait.service.wan_motion import MotionMaker, regions_of

if TYPE_CHECKING:
    from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
    from fantasyportrait.pipelines.video_job import FaceJob, VideoJob

WAN_SIDE = 720
SIDE_MULTIPLE = 16
SHORTEST = 5
# A latent pixel is eight of the picture; shown at half size it is still small, and says enough.
LOOK_SCALE = 4
POLL_S = 0.2


@dataclass(frozen=True)
class _Loaded:
    """A pipeline in memory, and what it was loaded from."""

    model: WanModel
    pipeline: "FantasyPortraitPipeline"


class WanEngine:
    """The diffusion engine. Its model stays loaded for the next request; one request runs at a time."""

    name = "wan"

    def __init__(self, models_dir: Path | None, cache_dir: Path | None, placement: Placement) -> None:
        self._models_dir, self._cache_dir, self._placement = models_dir, cache_dir, placement
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    def check(self, request: AnimationRequest) -> None:
        """Raise `DependencyError` or `WeightsError` for what is not there, `RequestError` for a device that is not."""
        check_model(request.sampling, self._models_dir)
        if self._placement != Placement():
            from fantasyportrait.runtime.place import check_placement

            check_placement(self._placement)

    def look_side(self, max_side: int | None) -> int:
        """Faces are looked for in a larger picture than the result, where small ones are still seen."""
        return PREVIEW_SIDE

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
            loaded = self._load(scene.request.sampling)
            loading.at(1)
            cancel.check()
            job = self._job(scene, loaded.model, frames, cancel, watch)
            yield from itertools.islice(self._frames(loaded.pipeline, job, cancel, watch), scene.timeline.frames)

    @contextmanager
    def _turn(self, cancel: CancelToken) -> Iterator[None]:
        """Wait until no other request is being rendered; whoever waits can still be cancelled."""
        while not self._lock.acquire(timeout=POLL_S):
            cancel.check()
        try:
            yield
        finally:
            self._lock.release()

    def _load(self, sampling: Sampling) -> _Loaded:
        """The pipeline of the request's model, loaded unless it already is."""
        from fantasyportrait.runtime.quiet import quiet_libraries

        with quiet_libraries():
            return self._load_quietly(sampling)

    def _load_quietly(self, sampling: Sampling) -> _Loaded:
        from fantasyportrait.pipelines.loading import load_pipeline
        from fantasyportrait.runtime.memory import free_memory

        model = prepare_model(sampling.model, self._models_dir)
        kept = self._loaded
        if kept is None or kept.model != model:
            # The old one goes first: two of them do not fit.
            self._loaded = kept = None
            free_memory()
            pipeline = load_pipeline(model.folder, self._placement, self._cache, model.gguf)
            self._loaded = kept = _Loaded(model, pipeline)
        return kept

    def _job(self, scene: Scene, model: WanModel, frames: int, cancel: CancelToken, watch: Watch) -> "VideoJob":
        """The scene as arrays: every face's motion, and where each face is."""
        from fantasyportrait.pipelines.guidance import Guidance
        from fantasyportrait.pipelines.video_job import VideoJob

        sampling = scene.request.sampling
        progress = watch.stage("motion", len(scene.parts))
        maker = MotionMaker(motion_nets(model, scene.request), self._cache, self._models_dir)
        drives = maker.drives(scene, frames, progress.at, cancel)
        sam = segmenter(self._models_dir) if sampling.region == "segment" else None
        return VideoJob(
            pixels=scene.pixels,
            faces=tuple(_face_job(drive.part, drive.code) for drive in drives if drive.code is not None),
            face_map=regions_of(scene, drives, sam),
            frames=frames,
            steps=sampling.steps,
            seed=sampling.seed,
            guidance=Guidance(
                sampling.text_guidance, sampling.portrait_guidance, sampling.guidance_start, sampling.guidance_end
            ),
            prompt=sampling.prompt,
            negative_prompt=sampling.negative_prompt,
            batch_passes=sampling.batch_passes,
            longest_pass=sampling.longest_pass,
        )

    def _frames(
        self, pipeline: "FantasyPortraitPipeline", job: "VideoJob", cancel: CancelToken, watch: Watch
    ) -> Iterator[Frame]:
        """One frame at a time, with a look at the latents after every step."""
        from fantasyportrait.pipelines.video_job import sample_video

        progress = watch.stage("sample", job.steps)

        def on_step(done: int, picture: Frame) -> None:
            progress.at(done)
            watch.look(resize(picture, (picture.shape[1] * LOOK_SCALE, picture.shape[0] * LOOK_SCALE), fast=True))

        for chunk in sample_video(pipeline, job, on_step, watch.note, cancel):
            cancel.check()
            yield from chunk

    @property
    def _cache(self) -> Path:
        return self._cache_dir or cache_folder()


def sampled_frames(frames: int) -> int:
    """The smallest 4 k + 1 from `frames` on, at least 5."""
    return max(SHORTEST, 4 * math.ceil((frames - 1) / 4) + 1)


def _face_job(part: ScenePart, code: MotionCode) -> "FaceJob":
    """The face with its role's strength and switches; a still face follows its own portrait in full."""
    from fantasyportrait.pipelines.video_job import FaceJob

    role = part.role
    if role is None or role.source is None:
        return FaceJob(part.face.id, code.features)
    groups = {"head_pose": role.head, "eyes": role.eyes, "emotion": role.emotion, "mouth": role.mouth}
    return FaceJob(part.face.id, code.features, role.strength, groups)
