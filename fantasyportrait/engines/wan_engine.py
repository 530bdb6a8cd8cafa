"""The diffusion engine: a scene goes in, frames come out of the paper's model."""

import itertools
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.disk_cache import CACHE_EXPIRY_S
from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.hosting import on_zero_gpu
from fantasyportrait.core.optional import require
from fantasyportrait.core.paths import default_cache_dir
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.engines.base import EngineCallbacks, Frame, Scene
from fantasyportrait.engines.wan_model import (
    MotionNetLoader,
    WanModel,
    check_model,
    file_size,
    lora_file,
    prepare_model,
    sampled_frames,
    segmenter,
)
from fantasyportrait.engines.wan_motion import MotionBuilder, Segmenter, build_face_map
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.images.images import multiple_size, resize
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.runtime.zero_gpu import call_seconds, check_zero_gpu_video, zero_gpu_config
from fantasyportrait.schema.cast import FreeSource
from fantasyportrait.schema.events import Message
from fantasyportrait.schema.guidance import step_passes, total_passes
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling

if TYPE_CHECKING:
    from fantasyportrait.pipelines.video_sampling import SampleVideo, VideoJob
    from fantasyportrait.pipelines.zero_gpu import ZeroGpuSampler
    from fantasyportrait.planning.pipeline_manager import PipelineManager
    from fantasyportrait.planning.planner import ExecutionPlan, Planner
    from fantasyportrait.planning.workload import Workload
    from fantasyportrait.runtime.process_group import ProcessGroup

WAN_SIDE = 720
SIDE_MULTIPLE = 16
# A latent pixel covers 8 x 8 pixels of the picture: preview images have half its size.
PREVIEW_SCALE = 4
POLL_INTERVAL_S = 0.2


@dataclass(frozen=True)
class _LoadedModel:
    """A model, its motion nets, the manager of its pipeline, and on ZeroGPU what samples there."""

    model: WanModel
    motion_nets: MotionNetLoader
    pipeline_manager: "PipelineManager"
    zero_gpu: "ZeroGpuSampler | None" = None


class WanEngine:
    """The diffusion engine. Its model stays loaded for the next request; one request runs at a time."""

    name = "wan"
    keeps_alpha = False

    def __init__(
        self,
        face_models: FaceModels,
        cache_dir: Path | None,
        runtime_config: RuntimeConfig,
        decoder: Decoder,
        process_group: "ProcessGroup | None" = None,
        cache_expiry_s: float = CACHE_EXPIRY_S,
    ) -> None:
        self._decoder, self._cache_expiry_s = decoder, cache_expiry_s
        self._face_models, self._models_dir = face_models, face_models.folder
        self._zero_gpu = on_zero_gpu()
        if self._zero_gpu:
            runtime_config = zero_gpu_config(runtime_config)
        self._cache_dir, self._runtime_config, self._process_group = cache_dir, runtime_config, process_group
        self._segmenter: Segmenter | None = None
        self._lock = threading.Lock()
        self._loaded: _LoadedModel | None = None
        self._planner: tuple[WanModel, Planner] | None = None

    def check(self, request: AnimationRequest) -> None:
        """Raise `DependencyError` or `WeightsError` for a missing package or file, `RequestError` for a device."""
        check_model(request.sampling, self._models_dir)
        if self._zero_gpu and request.max_side is not None:
            check_zero_gpu_video(0, request.max_side)
        if self._runtime_config != RuntimeConfig():
            from fantasyportrait.runtime.library_logging import quiet_libraries

            with quiet_libraries():
                from fantasyportrait.runtime.offload import check_runtime_config
            check_runtime_config(self._runtime_config)

    def preload(self, model: str) -> None:
        """On ZeroGPU, load the model; elsewhere it is loaded when a request needs it, and nothing happens here.

        Call it in the main thread before the app is launched: only then does `spaces` keep the weights for its calls.
        Raises `WeightsError` and `DependencyError` for a missing file or package, and `RequestError` where it does not
        fit.
        """
        if not self._zero_gpu:
            return
        # First: `spaces` has to be imported before anything is on a GPU.
        require("spaces", extra="zerogpu", purpose="rendering on ZeroGPU")
        from fantasyportrait.pipelines.zero_gpu import ZeroGpuSampler
        from fantasyportrait.planning.workload import Workload
        from fantasyportrait.runtime.offload import resolve_device

        sampling = Sampling(model=model)
        check_model(sampling, self._models_dir)
        loaded = self._loaded_model(model)
        smallest = Workload(SIDE_MULTIPLE, SIDE_MULTIPLE, sampled_frames(1), 1, sampling)
        loaded.pipeline_manager.ready(smallest, lambda message: None)
        sampler = ZeroGpuSampler(loaded.pipeline_manager.pipeline, resolve_device(self._runtime_config))
        self._loaded = replace(loaded, zero_gpu=sampler)

    def frame_size(self, width: int, height: int, max_side: int | None) -> tuple[int, int]:
        """The longest side as in the original, both sides multiples of 16."""
        return multiple_size(width, height, max_side or WAN_SIDE, SIDE_MULTIPLE)

    def render(self, scene: Scene, cancel: CancelToken, callbacks: EngineCallbacks) -> Generator[Frame, None, None]:
        """Yield the scene's frames. Raises `WeightsError` where the model is missing, and `Cancelled`."""
        frames = sampled_frames(scene.timeline.frames)
        spare = frames - scene.timeline.frames
        if spare:
            text = Sentence(
                "the model makes 4 k + 1 frames: {frames} are sampled and the last {spare} left out",
                frames=frames,
                spare=spare,
            )
            callbacks.message(Message(text))
        if self._zero_gpu:
            check_zero_gpu_video(float(scene.timeline.duration_s), max(scene.pixels.shape[:2]))
        loading = callbacks.stage("model", 1)
        with self._exclusive(cancel):
            cancel.check()
            loaded = self._model(scene.request.sampling.model)
            height, width = scene.pixels.shape[:2]
            work = self._workload(scene.request, (width, height), len(scene.faces), frames)
            plan = loaded.pipeline_manager.ready(work, callbacks.message, cancel)
            sample = self._sampler(loaded, plan)
            loading.update(1)
            cancel.check()
            job = self._job(scene, loaded.motion_nets, plan, cancel, callbacks)
            rendered = self._frames(sample, loaded.pipeline_manager, job, cancel, callbacks)
            yield from itertools.islice(rendered, scene.timeline.frames)

    @contextmanager
    def _exclusive(self, cancel: CancelToken) -> Iterator[None]:
        """Wait until no other request is being rendered; waiting can be cancelled."""
        while not self._lock.acquire(timeout=POLL_INTERVAL_S):
            cancel.check()
        try:
            yield
        finally:
            self._lock.release()

    def _model(self, name: str) -> _LoadedModel:
        """The request's model; the pipeline of another model is freed. On ZeroGPU it is the preloaded one."""
        if not self._zero_gpu:
            return self._loaded_model(name)
        if self._loaded is None or self._loaded.model != prepare_model(name, self._models_dir):
            raise RequestError(
                "the model {name} is not loaded, and a ZeroGPU Space loads one at its start: use that", name=name
            )
        return self._loaded

    def _sampler(self, loaded: _LoadedModel, plan: "ExecutionPlan") -> "SampleVideo":
        """What samples a job: the pipeline in this process, or on ZeroGPU in the one that has the GPU.

        Raises `RequestError` for a job that takes more time than ZeroGPU gives.
        """
        from fantasyportrait.pipelines.video_sampling import sample_video

        if loaded.zero_gpu is not None:
            return partial(loaded.zero_gpu.sample, call_seconds(plan.estimate.total_s))
        return partial(sample_video, loaded.pipeline_manager)

    def _loaded_model(self, name: str) -> _LoadedModel:
        """The model of that name or folder, loaded unless it is."""
        from fantasyportrait.runtime.library_logging import quiet_libraries

        with quiet_libraries():
            from fantasyportrait.pipelines.loading import ModelFiles
            from fantasyportrait.planning.pipeline_manager import PipelineManager

            model = prepare_model(name, self._models_dir)
        if self._loaded is None or self._loaded.model != model:
            self._loaded = None
            pipeline_manager = PipelineManager(
                ModelFiles(model.folder, model.gguf), self._runtime_config, self._cache, self._process_group
            )
            self._loaded = _LoadedModel(model, MotionNetLoader(model), pipeline_manager)
        return self._loaded

    def plan(self, request: AnimationRequest, size: tuple[int, int], faces: int, frames: int) -> "ExecutionPlan":
        """How a request would run here: profile, peak memory and time; no weights are loaded.

        Args:
            request: its cast and sampling.
            size: (width, height) of the video.
            faces: number of faces of the portrait.
            frames: of the video.

        The first plan for a model measures the machine for some seconds. Raises what `check` raises, and `RequestError`
        for a job that does not fit.
        """
        self.check(request)
        from fantasyportrait.runtime.library_logging import quiet_libraries

        with quiet_libraries():
            from fantasyportrait.planning.planner import Planner

            loaded = self._loaded
            model = prepare_model(request.sampling.model, self._models_dir)
            job = self._workload(request, size, faces, sampled_frames(frames))
            if loaded is not None and loaded.model == model:
                return loaded.pipeline_manager.plan(job)
            if self._planner is None or self._planner[0] != model:
                made = Planner(model.folder, model.gguf, self._runtime_config, self._cache, self._process_group)
                self._planner = model, made
            return self._planner[1].plan(job)

    def _workload(self, request: AnimationRequest, size: tuple[int, int], faces: int, frames: int) -> "Workload":
        """The workload of a request for a portrait with so many faces; those left to the model count for nothing."""
        from fantasyportrait.planning.workload import Workload

        sampling = request.sampling
        driven = faces - sum(isinstance(role.source, FreeSource) for role in request.cast)
        return Workload(*size, frames, driven, sampling, file_size(lora_file(sampling, self._models_dir)))

    def _job(
        self,
        scene: Scene,
        nets: MotionNetLoader,
        plan: "ExecutionPlan",
        cancel: CancelToken,
        callbacks: EngineCallbacks,
    ) -> "VideoJob":
        """The job of the scene: every face's motion, the face map, and the sampling as planned."""
        from fantasyportrait.pipelines.video_sampling import VideoJob

        frames = plan.job.frames
        sampling = scene.request.sampling
        progress = callbacks.stage("motion", len(scene.faces))
        builder = MotionBuilder(
            nets.motion_nets(scene.request), self._cache, self._face_models, self._decoder, self._cache_expiry_s
        )
        driven = builder.driven_faces(scene, frames, progress.update, cancel)
        if sampling.face_mask == "segment" and self._segmenter is None:
            self._segmenter = segmenter(self._models_dir)
        return VideoJob(
            pixels=scene.pixels,
            faces=driven,
            face_map=build_face_map(scene.pixels, driven, sampling.face_mask, self._segmenter),
            frames=frames,
            sampling=replace(plan.job.sampling, batch_passes=plan.estimate.batch_passes),
            lora=lora_file(sampling, self._models_dir),
            tiled_encode=plan.estimate.tiled_encode,
            tiled_decode=plan.estimate.tiled_decode,
        )

    def _frames(
        self,
        sample: "SampleVideo",
        pipeline_manager: "PipelineManager",
        job: "VideoJob",
        cancel: CancelToken,
        callbacks: EngineCallbacks,
    ) -> Iterator[Frame]:
        """The frames, one at a time, with a preview image of the latents after every step."""
        from fantasyportrait.runtime.offload import resolve_device
        from fantasyportrait.runtime.torch_config import torch_settings

        progress = callbacks.stage("sample", job.sampling.num_inference_steps)
        times = [time.monotonic()]
        changes: list[Message] = []

        def on_message(message: Message) -> None:
            changes.append(message)
            callbacks.message(message)

        def on_step(done: int, picture: Frame) -> None:
            times.append(time.monotonic())
            progress.update(done)
            callbacks.preview_image(
                resize(picture, (picture.shape[1] * PREVIEW_SCALE, picture.shape[0] * PREVIEW_SCALE), fast=True)
            )
            # After a fallback the times do not belong to the plan, and a single step has no step to compare with.
            if done == job.sampling.num_inference_steps > 1 and not changes:
                pipeline_manager.record(_step_s(times, job))

        with torch_settings(resolve_device(self._runtime_config), self._runtime_config.compile):
            for chunk in sample(job, on_step, on_message, cancel):
                cancel.check()
                yield from chunk

    @property
    def _cache(self) -> Path:
        return self._cache_dir or default_cache_dir()


def _step_s(times: Sequence[float], job: "VideoJob") -> float:
    """Seconds of an average step, from the times at which the steps ended.

    The first step is left out, since it waits for compilers; the passes of the others are scaled to an average step.
    """
    motion = any(face.motion is not None for face in job.faces)
    total = total_passes(job.sampling, motion)
    later = total - len(step_passes(job.sampling, 0, motion))
    return total / job.sampling.num_inference_steps * ((times[-1] - times[1]) / later)
