"""The strings of the app."""

from collections.abc import Iterable
from pathlib import Path

from fantasyportrait.schema.events import StageName, Step

TITLE = "FantasyPortrait"
INTRODUCTION = (
    "# FantasyPortrait\n"
    "Everyone in a photo acts a clip of their own. Upload a photo, choose what each face plays, press **Animate**. "
    "Animate only people who agreed to it."
)
PHOTO = "Finding faces in the photo"
STAGES: dict[StageName, str] = {
    "portrait": PHOTO,
    "driving": "Reading the driving clips",
    "model": "Loading the model",
    "motion": "Reading the driving motion",
    "sample": "Sampling",
    "render": "Rendering",
    "finish": "Finishing",
}
QUEUED = "In the queue"
STOPPED = "Stopped: no video was made, and all your choices are still here"
STOPPING = "Stopping"
UNEXPECTED_ERROR = "something went wrong on the server, which is not your fault; please try again"
REFUSED = "your video was not started: the queue is full, or a setting is not valid; please try again"
FREE = "The model decides how this face moves; the preview keeps it still"
NO_PHOTO = "there is no photo yet: upload one, or try the example"


def hide_paths(text: object, paths: Iterable[Path]) -> str:
    """The message with names of files in place of their paths on the server."""
    words = str(text)
    for path in paths:
        words = words.replace(str(path), path.name).replace(path.as_posix(), path.name)
    return words


def queued_text(position: int) -> str:
    """The position in the queue."""
    return f"{QUEUED}: {position} ahead" if position else f"{QUEUED}: next"


def step_text(step: Step) -> str:
    """The stage, its progress and the remaining time."""
    counted = f"step {step.done} of {step.total}"
    far = counted if step.stage == "sample" else f"{100 * step.done // step.total} %"
    text = f"{STAGES[step.stage]}: {far}"
    if step.remaining_s is None or step.done >= step.total:
        return text
    return f"{text}, {time_left(step.remaining_s)}"


def time_left(seconds: float) -> str:
    """A rough remaining time."""
    if seconds < 1:
        return "a moment left"
    if seconds < 90:
        return f"about {seconds:.0f} s left"
    return f"about {seconds / 60:.0f} min left"


def count_faces(count: int) -> str:
    """The number of faces in the photo, as a sentence."""
    return "1 face found" if count == 1 else f"{count} faces found, numbered row by row, left to right"
