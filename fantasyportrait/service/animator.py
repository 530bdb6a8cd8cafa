"""The animator: a request goes in, events come out, and at the end a video lies on the disk."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FaceError, FantasyPortraitError, MediaError, RequestError
from fantasyportrait.faces.cache import cached_tracks
from fantasyportrait.faces.face import Face, Track
from fantasyportrait.faces.finder import FaceFinder
from fantasyportrait.faces.insightface_detector import LICENCE
from fantasyportrait.media.images import Photo, even_size, load_photo, resize
from fantasyportrait.media.inputs import check_file
from fantasyportrait.runtime.placement import Placement as Placement
from fantasyportrait.service import events
from fantasyportrait.service.engines import PREVIEW_SIDE, Engine, PreviewEngine
from fantasyportrait.service.events import Event, Result
from fantasyportrait.service.places import cache_folder
from fantasyportrait.service.request import AnimationRequest
from fantasyportrait.service.run import Run
from fantasyportrait.service.wan_engine import WanEngine

if TYPE_CHECKING:
    from fantasyportrait.runtime.team import Team

POLL_S = 0.2


class Animator:
    """Finds faces, tracks clips, runs requests. Holds its folders and the engines, so threads may share it.

    `team` are the processes that share the diffusion engine's steps, see `service.parallel`.
    """

    def __init__(
        self,
        models_dir: Path | None = None,
        cache_dir: Path | None = None,
        placement: Placement | None = None,
        team: "Team | None" = None,
    ) -> None:
        self.models_dir = models_dir
        self.cache_dir = cache_dir
        self._engines: tuple[Engine, ...] = (
            PreviewEngine(models_dir),
            WanEngine(models_dir, cache_dir, placement or Placement(), team),
        )

    def engine(self, name: str) -> Engine:
        """The engine of that name; `RequestError` for an unknown one."""
        for engine in self._engines:
            if engine.name == name:
                return engine
        known = ", ".join(engine.name for engine in self._engines)
        raise RequestError(f"there is no engine {name!r}: this version has {known}")

    def faces(
        self, portrait: Path, max_side: int = PREVIEW_SIDE, detector: str = "centerface"
    ) -> tuple[Photo, tuple[Face, ...]]:
        """The photo at the size of the result, and its faces, left to right.

        A photo over `max_side` pixels or with an odd side is resized first; boxes and landmarks are pixels of that.
        Raises `MediaError` for an unreadable photo and `FaceError` where no face is large enough.
        """
        original = load_photo(portrait)
        height, width = original.pixels.shape[:2]
        size = even_size(width, height, max_side)
        notes = list(original.notes)
        if detector == "insightface":
            notes.append(LICENCE)
        if size != (width, height):
            notes.append(f"the photo ({width} x {height}) was resized to {size[0]} x {size[1]}")
        pixels = resize(original.pixels, size)
        try:
            # A finder of its own for each photo: it loads in a moment, and serves one thread.
            faces = FaceFinder(self.models_dir, detector).find(pixels, notes)
            return Photo(pixels, tuple(notes), original.sha256), faces
        except FaceError as error:
            resized = f" ({notes[-1]}: a larger max_side keeps its faces larger)" if size[0] < width - 1 else ""
            raise FaceError(f"{portrait}: {error}{resized}") from error

    def tracks(
        self,
        clip: Path,
        rate: Fraction = Fraction(25),
        start_s: float = 0.0,
        end_s: float | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> tuple[Track, ...]:
        """Every person of the clip, at `rate` frames a second, from the cache where it was tracked before.

        Raises `MediaError` for an unreadable clip, `FaceError` for one without a face, `Cancelled`.
        """
        check_file(clip, "clip")
        if not clip.is_file():
            raise MediaError(f"there is no clip at {clip}: check the path")
        return cached_tracks(
            clip,
            rate,
            start_s,
            end_s,
            models_dir=self.models_dir,
            cache_dir=self.cache_dir or cache_folder(),
            progress=progress,
            cancel=cancel,
        )

    def animate(
        self,
        request: AnimationRequest,
        output: Path,
        *,
        cancel: CancelToken | None = None,
        watch: Callable[[Event], None] | None = None,
    ) -> Result:
        """Run the request in this thread and return its result; `watch` sees the events on the way.

        Raises a `FantasyPortraitError`; then nothing was written.
        """
        return Run(self, request, output, cancel or CancelToken(), watch or (lambda event: None)).result()

    def events(
        self, request: AnimationRequest, output: Path, cancel: CancelToken | None = None
    ) -> Generator[Event, None, None]:
        """Run the request in a thread of its own and yield what happens; the last is Done, Failed or Cancelled.

        Whoever stops listening (closes the generator, or Ctrl-C) stops the work. An error that is not a
        `FantasyPortraitError` is a bug, and is raised here.
        """
        token = cancel or CancelToken()
        waiting: queue.Queue[Event | BaseException] = queue.Queue()

        def work() -> None:
            try:
                waiting.put(events.Done(self.animate(request, output, cancel=token, watch=waiting.put)))
            except Cancelled:
                waiting.put(events.Cancelled())
            except FantasyPortraitError as error:
                waiting.put(events.Failed(error))
            except BaseException as error:
                waiting.put(error)

        worker = threading.Thread(target=work, name="fantasyportrait-animator")
        worker.start()
        try:
            yield from _drain(waiting)
        finally:
            token.cancel()
            worker.join()


def _drain(waiting: "queue.Queue[Event | BaseException]") -> Iterator[Event]:
    """Yield events up to the last one."""
    while True:
        try:
            event = waiting.get(timeout=POLL_S)  # a wait without end could not be interrupted on Windows
        except queue.Empty:
            continue
        if isinstance(event, BaseException):
            raise event
        yield event
        if isinstance(event, events.Done | events.Failed | events.Cancelled):
            return
