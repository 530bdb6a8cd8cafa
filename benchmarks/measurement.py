"""Clocks and memory meters around one video of the pipeline."""

import statistics
import threading
import time
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import psutil
import torch

from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.motion_code import FEATURE_DIM, MotionCode
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.testing.tiny_faces import tiny_driven_face

GIB = 2**30
_EVERY_S = 0.02


@dataclass(frozen=True)
class BenchmarkCase:
    """The size of a job: height and width of the frames, number of frames and of driven faces."""

    height: int
    width: int
    frames: int
    faces: int

    @property
    def size(self) -> str:
        """As the command line has it."""
        return f"{self.height}x{self.width}x{self.frames}"


@dataclass(frozen=True)
class Peak:
    """Peak device memory of a phase: allocated by tensors, and reserved by the allocator. 0 on the CPU."""

    allocated_gib: float
    reserved_gib: float


@dataclass(frozen=True)
class Measurement:
    """Figures of one video.

    Attributes:
        encode_s: from the call to the first pass of the transformer: CLIP, VAE, motion adapter.
        steps_s: each step; in the first one offloading sets itself up, kernels are chosen, blocks are compiled.
        decode_s: all frames, as uint8 in the machine's memory.
        passes: runs of the transformer a step.
        peaks: of the phases encode, sample and decode.
        ram_gib: the most that the process took of the machine's memory.
        pinned_gib: held by the allocator of pinned memory, which `ram_gib` may not include.
    """

    encode_s: float
    steps_s: tuple[float, ...]
    decode_s: float
    passes: float
    peaks: dict[str, Peak]
    ram_gib: float
    pinned_gib: float

    @property
    def step_s(self) -> float:
        """The median of all steps but the first."""
        return statistics.median(self.steps_s[1:] or self.steps_s)


class RamMonitor:
    """While it is entered, follows the memory of this process; `peak_gib` is the most."""

    def __init__(self) -> None:
        self.peak_gib = 0.0
        self._process = psutil.Process()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "RamMonitor":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            self.peak_gib = max(self.peak_gib, self._process.memory_info().rss / GIB)
            if self._over.wait(_EVERY_S):
                return


class _PhaseTimer:
    """Records when the phases of a video begin and their peak memory, after synchronizing the device."""

    def __init__(self, device: torch.device) -> None:
        self._accelerator = device if device.type != "cpu" else None
        self.times: dict[str, list[float]] = {}
        self.peaks: dict[str, Peak] = {}
        self._reset()

    def mark(self, phase: str, ends: bool = False) -> None:
        """Record a time of `phase`; with `ends` record its peak memory too and reset the counters."""
        if self._accelerator is not None:
            torch.accelerator.synchronize(self._accelerator)
        self.times.setdefault(phase, []).append(time.perf_counter())
        if ends:
            self.peaks[phase] = self._peak()
            self._reset()

    def _peak(self) -> Peak:
        if self._accelerator is None:
            return Peak(0.0, 0.0)
        allocated = torch.accelerator.max_memory_allocated(self._accelerator)
        return Peak(allocated / GIB, torch.accelerator.max_memory_reserved(self._accelerator) / GIB)

    def _reset(self) -> None:
        if self._accelerator is not None:
            torch.accelerator.reset_peak_memory_stats(self._accelerator)


def measure(
    pipeline: FantasyPortraitPipeline, work: BenchmarkCase, steps: int, device: torch.device, batch_passes: bool = False
) -> Measurement:
    """Sample `work` for so many steps and decode it, as the program does, a preview image of the latents after each
    step."""
    image, driven, face_map = _inputs(work)
    phases = _PhaseTimer(device)
    passes = 0

    def before_pass(*_: object) -> None:
        nonlocal passes
        if passes == 0:
            phases.mark("encode", ends=True)
            phases.mark("sample")
        passes += 1

    def after_step(
        pipe: FantasyPortraitPipeline, step: int, timestep: torch.Tensor, given: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        given["latents"].cpu()
        pipe.preview_image(given["denoised"])
        phases.mark("sample")
        return {}

    handle = pipeline.transformer.register_forward_pre_hook(before_pass)
    try:
        with RamMonitor() as ram:
            phases.mark("encode")
            latents = pipeline(
                *(image, driven, face_map),
                num_frames=work.frames,
                sampling=Sampling(num_inference_steps=steps, batch_passes=batch_passes, max_window_frames=work.frames),
                callback_on_step_end=after_step,
                callback_on_step_end_tensor_inputs=("latents", "denoised"),
                output_type="latent",
            ).frames
            phases.mark("end", ends=True)
            phases.peaks["sample"] = phases.peaks.pop("end")
            phases.mark("decode")
            frames = sum(len(chunk) for chunk in pipeline.decode(latents.cpu()))
            phases.mark("decode", ends=True)
    finally:
        handle.remove()
    if frames != work.frames:
        raise RuntimeError(f"{frames} frames were decoded where {work.frames} were sampled")
    encode, sample, decode = (np.diff(phases.times[phase]).tolist() for phase in ("encode", "sample", "decode"))
    return Measurement(
        *(encode[0], tuple(sample), decode[0], passes / steps, phases.peaks), ram.peak_gib, _pinned_gib(device)
    )


def _inputs(work: BenchmarkCase) -> tuple[np.ndarray, list[DrivenFace[MotionCode]], np.ndarray]:
    """A picture of noise, another for every work; faces side by side, background between them."""
    generator = np.random.default_rng(work.faces)
    image = generator.integers(0, 256, (work.height, work.width, 3), dtype=np.uint8)
    face_map = np.zeros((work.height, work.width), np.int32)
    part = work.width // (2 * work.faces + 1)
    for number in range(work.faces):
        left = (2 * number + 1) * part
        face_map[work.height // 4 : 3 * work.height // 4, left : left + part] = number + 1
    features = torch.randn(work.faces, work.frames, FEATURE_DIM, generator=torch.Generator().manual_seed(work.faces))
    return image, [tiny_driven_face(number, rows.numpy()) for number, rows in enumerate(features, 1)], face_map


def _pinned_gib(device: torch.device) -> float:
    if device.type == "cpu" or not torch.cuda.is_available():
        return 0.0
    return float(torch.cuda.host_memory_stats()["allocated_bytes.peak"]) / GIB
