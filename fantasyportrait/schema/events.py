"""The events of a run, as data. A run ends with exactly one of Done, Failed, Cancelled."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import FantasyPortraitError

StageName = Literal["portrait", "driving", "model", "motion", "sample", "render", "finish"]
"""model, motion and sample are stages of the diffusion engine: loading, encoding of the motion, denoising."""


@dataclass(frozen=True)
class Result:
    """The files of a finished run.

    Attributes:
        video: the video's path, or a folder of PNG frames.
        side_by_side: path of the video of driving clips, source and result, where it was asked for.
        request: path of the JSON that re-runs it.
        messages: sentences for the user about the inputs and the run.
        frames: number of frames of the video.
        duration_s: the video's length in seconds.
    """

    video: Path
    side_by_side: Path | None
    request: Path
    messages: tuple[str, ...]
    frames: int
    duration_s: float


@dataclass(frozen=True)
class Queued:
    """The job waits for a worker; `position` jobs are ahead of it in the queue."""

    position: int


@dataclass(frozen=True)
class Stage:
    """A stage begins."""

    name: StageName


@dataclass(frozen=True)
class Step:
    """`done` of `total` steps of a stage; `remaining_s` of the stage at its rate so far, None at first."""

    stage: StageName
    done: int
    total: int
    remaining_s: float | None


@dataclass(frozen=True)
class Message:
    """A sentence for the user; the run continues.

    Attributes:
        text: the sentence.
        keep: whether the result's messages contain it; False for what matters only now, such as the time it will take.
    """

    text: str
    keep: bool = True


@dataclass(frozen=True, eq=False)
class PreviewImage:
    """A reduced preview image of the unfinished result: uint8 (H, W, 3) RGB."""

    image: NDArray[np.uint8]


@dataclass(frozen=True)
class Done:
    """The result is in place."""

    result: Result


@dataclass(frozen=True)
class Failed:
    """The run failed and wrote nothing; the error says why and what to do."""

    error: FantasyPortraitError


@dataclass(frozen=True)
class Cancelled:
    """The user stopped the run; nothing was written."""


Event = Queued | Stage | Step | Message | PreviewImage | Done | Failed | Cancelled
MessageCallback = Callable[[Message], None]
