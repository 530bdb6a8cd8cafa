"""How far the check of a clip is; the visitor's clip is changed by it, and the pictures of a report are saved."""

from dataclasses import dataclass, replace
from pathlib import Path

from fantasyportrait.core.atomic_write import output_errors
from fantasyportrait.images.images import save_image
from fantasyportrait.studio.clip_report import ClipReport, Pixels
from fantasyportrait.studio.clip_state import CheckState, ClipPerson, ClipState
from fantasyportrait.studio.messages import hide_paths
from fantasyportrait.studio.session_store import SHOWN


@dataclass(frozen=True, eq=False)
class ClipUpdate:
    """How far a check is.

    Attributes:
        state: waiting, checking, ready or failed.
        path: the checked file, which `error` and the report's messages may name.
        done: tracked rows.
        total: rows to track, as far as is known.
        error: why the check failed, empty otherwise.
        report: what was found, once the clip is ready.
    """

    state: CheckState
    path: Path
    done: int = 0
    total: int = 0
    error: str = ""
    report: ClipReport | None = None

    def applied(self, clip: ClipState, folder: Path) -> ClipState:
        """The clip after this update. Pictures are written to `shown/<id of the clip>/` in `folder`, the visitor's.

        Sentences name the clip by `clip.name`, not by its path. Raises `OutputError` where a picture cannot be written.
        """
        clip = replace(clip, state=self.state, done=self.done, total=self.total, error=self._named(self.error, clip))
        report = self.report
        if report is None:
            return clip
        pictures = {"poster": report.poster} | {f"strip-{n}": frame for n, frame in enumerate(report.strip, 1)}
        pictures |= {f"person-{person.id}": person.thumb for person in report.people}
        urls = save_pictures(pictures, folder, f"{SHOWN}/{clip.id}")
        return replace(
            clip,
            messages=tuple(self._named(text, clip) for text in report.messages),
            duration_s=report.duration_s,
            fps=report.fps,
            width=report.width,
            height=report.height,
            people=tuple(
                ClipPerson(each.id, urls[f"person-{each.id}"], each.seen, each.leads) for each in report.people
            ),
            poster=urls["poster"],
            strip=tuple(urls[f"strip-{n}"] for n in range(1, len(report.strip) + 1)),
        )

    def _named(self, text: str, clip: ClipState) -> str:
        return hide_paths(text, {self.path: clip.name})


def save_pictures(pictures: dict[str, Pixels], folder: Path, inside: str) -> dict[str, str]:
    """Write each picture as JPEG to `inside`, a path of two parts in `folder`; returns the paths in `folder` by name.

    Each file is whole or not there. Raises `OutputError` where it cannot be written, and where `folder` is gone.
    """
    place = folder / inside
    with output_errors(place):
        # Not the visitor's folder itself: where it was removed meanwhile, it stays so.
        place.parent.mkdir(exist_ok=True)
        place.mkdir(exist_ok=True)
    for name, pixels in pictures.items():
        save_image(place / f"{name}.jpg", pixels)
    return {name: f"{inside}/{name}.jpg" for name in pictures}
