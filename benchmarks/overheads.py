"""Cost of everything but the transformer, measured on this CPU at full size, as a share of a job's time.

    python -m benchmarks.overheads [--runs 5] [--json]

480x832 at 25 frames a second: 81 frames with one face and with three, and 161 frames in overlapping windows with three.
The large networks are left out: where the transformer, the decoder or the encoder of the VAE would work, a stored
result of the right size comes back. Figures are medians of the runs.

A job is 30 steps of two passes at the floor, the bare arithmetic of the transformer. What a job does on the CPU counts
as measured here. What it does on the GPU is measured here too, and scaled by the ratio of the two: of their memory
for what only moves numbers, of their float32 arithmetic for the motion adapter.
"""

import argparse
import dataclasses
import functools
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler
from numpy.typing import NDArray

from fantasyportrait.driving.side_by_side_panels import PANEL_SIDE
from fantasyportrait.images.images import load_photo
from fantasyportrait.media.clips import read_clip
from fantasyportrait.media.compose import Panel, side_by_side
from fantasyportrait.media.writer import VideoWriter
from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.token_windows import FRAMES_PER_LATENT, latent_frames
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.motion.face_map import box_mask, face_map
from fantasyportrait.pipelines.colour_match import ColourMatch
from fantasyportrait.pipelines.denoising import Conditioning, WindowInputs
from fantasyportrait.pipelines.motion_conditioning import motion_conditioning, token_labels
from fantasyportrait.pipelines.portrait_pipeline import MAX_SEQUENCE_LENGTH, FantasyPortraitPipeline
from fantasyportrait.pipelines.time_windows import OVERLAP_FRAMES, WINDOW_FRAMES, TimeWindow, time_windows
from fantasyportrait.planning.machine import GIB
from fantasyportrait.planning.throughput import Throughput, measure_throughput
from fantasyportrait.runtime.library_logging import quiet_libraries
from fantasyportrait.schema.motion_code import FEATURE_DIM
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.schema.timeline import Timeline
from fantasyportrait.testing.tiny import tiny_transformer_config
from fantasyportrait.testing.tiny_faces import tiny_driven_face

HEIGHT, WIDTH, RATE = 480, 832, Fraction(25)
STEPS, PASSES = 30, 2
TFLOP_A_PASS = 1692  # 32760 tokens: the window of 81 frames
PICTURE = Path(__file__).parents[1] / "assets" / "two_people.png"
SECOND_VIDEO = "the side by side, clips read again"
Where = Literal["cpu", "memory", "arithmetic"]


@dataclass(frozen=True)
class Gpu:
    """A GPU's nominal rates: 16-bit products and float32 arithmetic in TFLOP/s, memory in GB/s."""

    name: str
    tflops: float
    float32_tflops: float
    memory_gb_s: float


# 800 of 989: what large products reach on an H100.
GPUS = (Gpu("H100", 800, 67, 3350), Gpu("RTX 4090", 165, 82.6, 1008))


@dataclass(frozen=True)
class Cost:
    """One operation around the transformer: seconds per call on this CPU, calls per job, and where it runs.

    `where` says what the GPU's time goes by: cpu is not on the GPU.
    """

    what: str
    seconds: float
    where: Where = "cpu"
    times: int = 1

    def job_s(self, gpu: Gpu, cpu: Throughput) -> float:
        """Seconds of a whole job with that GPU, by this CPU's rates."""
        here = self.seconds * self.times
        if self.where == "memory":
            return here * cpu.memory_gib_s * GIB / (gpu.memory_gb_s * 1e9)
        return here * cpu.tflops / gpu.float32_tflops if self.where == "arithmetic" else here


@dataclass(frozen=True)
class Job:
    """A job's size."""

    frames: int
    faces: int

    @property
    def windows(self) -> tuple[TimeWindow, ...]:
        """Of time, each of which every step goes through."""
        latents, length = latent_frames(self.frames), latent_frames(WINDOW_FRAMES)
        return time_windows(latents, length, OVERLAP_FRAMES // FRAMES_PER_LATENT)

    def floor_s(self, gpu: Gpu) -> float:
        """Seconds of all passes of all steps."""
        return STEPS * PASSES * len(self.windows) * TFLOP_A_PASS / gpu.tflops


class StoredTransformer(FantasyPortraitTransformer3DModel):
    """A transformer whose every pass gives the same velocity at once."""

    velocity: torch.Tensor

    def forward(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor]:
        """The stored velocity (1, 16, F_lat, h, w)."""
        return (self.velocity,)


class StoredDecoder(torch.nn.Module):
    """Replaces the VAE's decoder: one frame, or four, of the right size."""

    def forward(self, latents: torch.Tensor, first_chunk: bool = False, **_: Any) -> torch.Tensor:
        """Frames (1, 3, 1 or 4, 8 h, 8 w) in -1 to 1, whose memory is not touched before it is used."""
        height, width = (8 * side for side in latents.shape[-2:])
        return torch.zeros(1, 3, 1 if first_chunk else FRAMES_PER_LATENT, height, width)


class StoredVae(AutoencoderKLWan):
    """The original VAE with its two networks replaced."""

    def __init__(self) -> None:
        super().__init__(base_dim=4, num_res_blocks=1, dim_mult=[1, 1, 1, 1])
        self.decoder = StoredDecoder()

    def _encode(self, x: torch.Tensor) -> torch.Tensor:
        """Mean and variance (1, 32, F_lat, h, w)."""
        return torch.zeros(1, 32, latent_frames(x.shape[2]), x.shape[3] // 8, x.shape[4] // 8)


class StoredAdapter(MotionAdapter):
    """The original motion adapter with its network replaced by stored tokens."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Token windows (B, F_lat, 97, 2048), the same tensor for the same shape."""
        return self.stored(len(features), latent_frames(features.shape[1]))

    @functools.lru_cache(maxsize=8)  # noqa: B019 - one adapter a run
    def stored(self, faces: int, latents: int) -> torch.Tensor:
        """Zeros that have been written once."""
        return torch.zeros(faces, latents, self.window_tokens, self.config.motion_dim).normal_()


def motion_costs(
    job: Job, network: MotionAdapter, stored: MotionAdapter, runs: int
) -> tuple[list[Cost], list[WindowInputs]]:
    """Places, labels, masks and tokens; and what the sampler then works with."""
    part = WIDTH / (2 * job.faces + 1)
    boxes = [
        np.array([(2 * face + 1) * part, 0.2 * HEIGHT, (2 * face + 2) * part, 0.7 * HEIGHT])
        for face in range(job.faces)
    ]

    def places() -> NDArray[np.int32]:
        margins = np.full(4, 0.1)
        return face_map([box_mask(face + 1, box, margins, (WIDTH, HEIGHT)) for face, box in enumerate(boxes)])

    where = places()
    labels = token_labels(where)
    features = torch.randn(job.faces, job.frames, FEATURE_DIM)
    cut = [
        [tiny_driven_face(number, rows[window.frames].numpy()) for number, rows in enumerate(features, 1)]
        for window in job.windows
    ]
    condition = torch.zeros(1, 20, job.windows[0].length, HEIGHT // 8, WIDTH // 8)
    inputs = [
        WindowInputs(window, condition, motion_conditioning(stored, faces, labels))
        for window, faces in zip(job.windows, cut, strict=True)
    ]
    count = len(job.windows)
    first = features[:, job.windows[0].frames]
    masks = median(lambda: motion_conditioning(stored, cut[0], labels), runs)
    costs = [
        Cost("face map", median(places, runs)),
        Cost("labels of the token grid", median(lambda: token_labels(where), runs), times=count),
        Cost("masks, and tokens in their order", masks, times=count),
        Cost("motion tokens: the adapter's network", median(lambda: network(first), runs), "arithmetic", count),
    ]
    return costs, inputs


def sampling_costs(
    job: Job, pipeline: FantasyPortraitPipeline, windows: Sequence[WindowInputs], image: NDArray[np.uint8], runs: int
) -> list[Cost]:
    """The condition, and a step without its passes."""
    shape = (1, 16, latent_frames(job.frames), HEIGHT // 8, WIDTH // 8)
    length = windows[0].window.length
    pipeline.transformer.velocity = torch.randn(1, 16, length, *shape[3:], dtype=torch.bfloat16)
    noise = torch.randn(shape)
    text, states = (torch.zeros(1, *size, dtype=torch.bfloat16) for size in ((MAX_SEQUENCE_LENGTH, 4096), (257, 1280)))

    def steps() -> None:
        pipeline.denoise(noise, windows, Conditioning(text, None, states), Sampling(num_inference_steps=STEPS))

    def condition() -> None:
        pipeline.prepare_condition(image, FRAMES_PER_LATENT * (length - 1) + 1)

    pipeline.preview_image(noise)
    return [
        Cost("image condition, without the VAE's encoder", median(condition, runs)),
        Cost("a step without its passes", median(steps, runs) / STEPS, "memory", STEPS),
        Cost("a preview image of the latents", median(lambda: pipeline.preview_image(noise), runs), times=STEPS),
    ]


def decoding_costs(job: Job, pipeline: FantasyPortraitPipeline, frames: NDArray[np.uint8], runs: int) -> list[Cost]:
    """Everything from latents to frames but the decoder, in tiles, which is more; colours where there are windows."""
    latents = torch.randn(1, 16, latent_frames(job.frames), HEIGHT // 8, WIDTH // 8)

    def decode() -> None:
        for _ in pipeline.decode(latents):
            pass

    pipeline.vae.enable_tiling()
    costs = [Cost("decoding in tiles, without the decoder", median(decode, runs), "memory")]
    planes = torch.from_numpy(frames[:FRAMES_PER_LATENT]).permute(3, 0, 1, 2).contiguous()

    def fetch() -> None:
        np.ascontiguousarray(planes.permute(1, 2, 3, 0).numpy())

    costs.append(Cost("four frames from the GPU, in the writer's order", median(fetch, runs), times=len(latents[0, 0])))
    if len(job.windows) > 1:
        match = ColourMatch(frames[0])
        matched = median(lambda: match(frames[:FRAMES_PER_LATENT]), runs)
        costs.append(Cost("colours kept, four frames", matched, times=len(latents[0, 0])))
    return costs


def writing_costs(job: Job, frames: NDArray[np.uint8], runs: int) -> list[Cost]:
    """The video, and the side by side with a driving clip for each face."""
    with tempfile.TemporaryDirectory() as folder:
        video, beside = Path(folder) / "out.mp4", Path(folder) / "beside.mp4"

        def write() -> None:
            with VideoWriter(video, (WIDTH, HEIGHT), RATE) as writer:
                for frame in itertools.islice(itertools.cycle(frames), job.frames):
                    writer.write(frame)

        def compose() -> None:
            driving = [
                Panel(str(n), read_clip(video, RATE, max_side=PANEL_SIDE), column="driving") for n in range(job.faces)
            ]
            result = Panel("result", read_clip(video, RATE, max_side=PANEL_SIDE))
            panels = [*driving, Panel("source", still=frames[0], column="source"), result]
            side_by_side(beside, panels, Timeline(RATE, job.frames))

        return [Cost("the video, H.264", median(write, runs)), Cost(SECOND_VIDEO, median(compose, runs))]


def moving_frames() -> NDArray[np.uint8]:
    """81 frames of the bundled picture under a slow turn: more movement than a talking head, so harder to encode."""
    picture = cv2.resize(load_photo(PICTURE).pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    frames = np.empty((WINDOW_FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    for number, frame in enumerate(frames):
        turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 2 * np.sin(number / 8), 1.05)
        cv2.warpAffine(picture, turn, (WIDTH, HEIGHT), dst=frame, borderMode=cv2.BORDER_REFLECT)
    return frames


def stored_pipeline(adapter: MotionAdapter) -> FantasyPortraitPipeline:
    """The pipeline with stored results instead of its large networks."""
    with quiet_libraries():  # a warning about norms in bfloat16
        transformer = StoredTransformer(**tiny_transformer_config()).to(torch.bfloat16).eval()
    pipeline = FantasyPortraitPipeline(
        transformer, adapter, StoredVae().eval(), FlowMatchEulerDiscreteScheduler(shift=5.0)
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def median(work: Callable[[], object], runs: int) -> float:
    """Seconds of `work`, once it is warm."""
    work()
    seconds = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


@torch.no_grad()
def measured(jobs: Sequence[Job], runs: int, network: MotionAdapter) -> Iterator[tuple[Job, list[Cost]]]:
    """Each job's costs; `network` is the motion adapter."""
    # Its resamplers are not used: they may be small.
    stored = StoredAdapter(dim=64, num_layers=1, num_heads=2, head_dim=32).eval()
    pipeline = stored_pipeline(stored)
    frames = moving_frames()
    for job in jobs:
        costs, windows = motion_costs(job, network, stored, runs)
        costs += sampling_costs(job, pipeline, windows, frames[0], runs)
        costs += decoding_costs(job, pipeline, frames, runs)
        costs += writing_costs(job, frames, runs)
        yield job, costs


def shares(job: Job, costs: Sequence[Cost], cpu: Throughput) -> dict[str, float]:
    """Return each cost as a share of the job's transformer time, by GPU."""
    return {gpu.name: sum(cost.job_s(gpu, cpu) for cost in costs) / job.floor_s(gpu) for gpu in GPUS}


def sums(costs: Sequence[Cost]) -> dict[str, list[Cost]]:
    """Return the sums: everything that the video needs, and everything with the side by side."""
    return {"together": [cost for cost in costs if cost.what != SECOND_VIDEO], f"with {SECOND_VIDEO}": list(costs)}


def report(job: Job, costs: Sequence[Cost], cpu: Throughput, as_json: bool) -> str:
    """One job's table, or its JSON in a line."""
    if as_json:
        rows = [dataclasses.asdict(cost) | {"shares": shares(job, [cost], cpu)} for cost in costs]
        whole = {"size": f"{HEIGHT}x{WIDTH}x{job.frames}", "faces": job.faces, "windows": len(job.windows)}
        totals = {name: shares(job, some, cpu) for name, some in sums(costs).items()}
        return json.dumps(whole | {"costs": rows, "totals": totals, "cpu": dataclasses.asdict(cpu)})
    lines = [
        f"{HEIGHT}x{WIDTH}x{job.frames}, faces: {job.faces}, windows: {len(job.windows)}",
        f"{'':<50}{'here':>11}{'times':>7}  {'in a job':<12}" + "".join(f"{gpu.name:>10}" for gpu in GPUS),
    ]
    places = {"cpu": "on the CPU", "memory": "on the GPU", "arithmetic": "on the GPU"}
    parts = [(c.what, f"{c.seconds * 1e3:.1f} ms", str(c.times), places[c.where], [c]) for c in costs]
    for what, each, times, place, some in [*parts, *((name, "", "", "", some) for name, some in sums(costs).items())]:
        cells = "".join(f"{share:>10.2%}" for share in shares(job, some, cpu).values())
        lines.append(f"{what:<50}{each:>11}{times:>7}  {place:<12}{cells}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print, job by job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="a line of JSON for each job")
    options = parser.parse_args(arguments)
    jobs = (Job(WINDOW_FRAMES, 1), Job(WINDOW_FRAMES, 3), Job(2 * WINDOW_FRAMES - 1, 3))
    cpu = measure_throughput(torch.device("cpu"), torch.float32)
    for job, costs in measured(jobs, options.runs, MotionAdapter().eval()):
        print(report(job, costs, cpu, options.json), flush=True)


if __name__ == "__main__":
    main()
