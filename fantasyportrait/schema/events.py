"""What happens while a request runs, as data. A run ends with exactly one of Done, Failed, Cancelled."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import FantasyPortraitError

StageName = Literal["portrait", "driving", "model", "motion", "sample", "render", "finish"]
"""model, motion and sample are the diffusion engine's: loading it, encoding who drives, its steps."""


@dataclass(frozen=True)
class Result:
    """What a run leaves on the disk.

    Attributes:
        video: the video's path, or a folder of PNG frames.
        side_by_side: path of the video of driving clips, source and result, where it was asked for.
        request: path of the JSON that re-runs it.
        notes: what the user should know about the inputs.
        frames: of the video.
        duration_s: the video's length in seconds.
    """

    video: Path
    side_by_side: Path | None
    request: Path
    notes: tuple[str, ...]
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
class Remark:
    """A sentence for now, such as how long it will take; the result's notes do not repeat it."""

    text: str


@dataclass(frozen=True)
class Note:
    """A sentence the user should read; the work goes on."""

    text: str


@dataclass(frozen=True, eq=False)
class PreviewImage:
    """A preview image of the result while it is made: uint8 (H, W, 3) RGB, reduced."""

    image: NDArray[np.uint8]


@dataclass(frozen=True)
class Done:
    """The result is in place."""

    result: Result


@dataclass(frozen=True)
class Failed:
    """Nothing was written; the error's text says why and what to do."""

    error: FantasyPortraitError


@dataclass(frozen=True)
class Cancelled:
    """Stopped by the user; nothing was written."""


Event = Queued | Stage | Step | Remark | Note | PreviewImage | Done | Failed | Cancelled
