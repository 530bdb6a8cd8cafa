"""The animator: a request goes in, events come out, and at the end a video lies on the disk."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FaceError, FantasyPortraitError, RequestError
from fantasyportrait.core.shelf import KEPT_S
from fantasyportrait.core.suggest import did_you_mean
from fantasyportrait.faces.cache import cached_tracks
from fantasyportrait.faces.face import Face, MaskedFace, Track
from fantasyportrait.faces.finder import FaceFinder
from fantasyportrait.faces.insightface_detector import LICENCE
from fantasyportrait.faces.models import FaceModels
from fantasyportrait.faces.orientation import Turn
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.media.images import Photo
from fantasyportrait.runtime.placement import Placement as Placement
from fantasyportrait.service import events
from fantasyportrait.service.cast import LONGEST_S
from fantasyportrait.service.checks import check_choice, check_number
from fantasyportrait.service.converted import StrPath, as_folder_or_none, as_path, shown
from fantasyportrait.service.digests import check_input
from fantasyportrait.service.engines import Engine, PreviewEngine
from fantasyportrait.service.events import Event, Result
from fantasyportrait.service.places import cache_folder
from fantasyportrait.service.portrait import PortraitLike, as_portrait, portrait_name
from fantasyportrait.service.request import DETECTORS, AnimationRequest, Rate, read_rate
from fantasyportrait.service.run import Run
from fantasyportrait.service.upright_clips import UprightDecoder, clip_turn
from fantasyportrait.service.wan_engine import WanEngine

if TYPE_CHECKING:
    from fantasyportrait.runtime.team import Team

POLL_S = 0.2


class Animator:
    """Finds faces, tracks clips, runs requests. Holds its folders and the engines, so threads may share it.

    `team` are the processes that share the diffusion engine's steps, see `service.parallel`. `decoder` reads photos,
    clips and sound, in this process where it is None. What was read of a clip and is not used for `cached_s` seconds
    leaves the cache.
    """

    def __init__(
        self,
        models_dir: StrPath | None = None,
        cache_dir: StrPath | None = None,
        placement: Placement | None = None,
        team: "Team | None" = None,
        decoder: Decoder | None = None,
        cached_s: float = KEPT_S,
    ) -> None:
        self.models_dir = as_folder_or_none(models_dir, "models_dir")
        self.cache_dir = as_folder_or_none(cache_dir, "cache_dir")
        self._cached_s = cached_s
        self.decoder = UprightDecoder(decoder or LocalDecoder())
        self._engines: tuple[Engine, ...] = (
            PreviewEngine(self.models_dir),
            WanEngine(self.models_dir, self.cache_dir, placement or Placement(), self.decoder, team, cached_s),
        )

    def engine(self, name: str) -> Engine:
        """The engine of that name; `RequestError` for an unknown one."""
        for engine in self._engines:
            if engine.name == name:
                return engine
        known = [engine.name for engine in self._engines]
        raise RequestError(
            f"there is no engine {name!r}{did_you_mean(name, known)}: this version has {', '.join(known)}"
        )

    def faces(self, portrait: PortraitLike, detector: str = "centerface") -> tuple[Photo, tuple[Face, ...]]:
        """The photo as it was read, turned where its faces lie on their side, and its faces in reading order.

        `portrait` is a path, or a picture in memory as a request takes it. Boxes and landmarks are pixels of that
        picture, which has the size of the file unless a note says otherwise. Raises `MediaError` for an unreadable
        photo and `FaceError` where no face is large enough; its `notes` are those of the photo.
        """
        given = as_portrait(portrait, "portrait")
        check_choice("detector", detector, DETECTORS)
        original = self.decoder.photo(given) if isinstance(given, Path) else given
        notes = list(original.notes)
        if detector == "insightface":
            notes.append(LICENCE)
        try:
            # A finder of its own for each photo: it loads in a moment, and serves one thread.
            finder = FaceFinder(self.models_dir, detector)
            pixels, faces = finder.find_upright(original.pixels, notes, self.decoder.limits.faces)
        except FaceError as error:
            refusal = FaceError(f"{portrait_name(given)}: {error}")
            refusal.notes = tuple(notes)
            raise refusal from error
        return Photo(pixels, tuple(notes), original.sha256), faces

    def masked(self, pixels: NDArray[np.uint8], faces: Sequence[Face]) -> tuple[MaskedFace, ...]:
        """The faces with masks of their heads, at the size of `pixels`, an RGB picture (H, W, 3) that they lie in."""
        return FaceModels(self.models_dir).head_masks().masked(pixels, faces)

    def tracks(
        self,
        clip: StrPath,
        rate: Rate = Fraction(25),
        start_s: float = 0.0,
        end_s: float | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> tuple[Track, ...]:
        """Every person of the clip, at `rate` frames a second, from the cache where it was tracked before.

        A clip that lies on its side or stands on its head is turned; `decoder.turn_of` says so from then on.
        Raises `MediaError` for an unreadable clip, `FaceError` for one without a face, `Cancelled`.
        """
        path = as_path(clip, "clip")
        check_number("start_s", start_s, 0, LONGEST_S)
        if end_s is not None:
            check_number("end_s", end_s, 0, LONGEST_S)
        check_input(path, "clip")
        cache = self.cache_dir or cache_folder()

        def tracked(turn: Turn) -> tuple[Track, ...]:
            return cached_tracks(
                path,
                read_rate(rate),
                start_s,
                end_s,
                models_dir=self.models_dir,
                decoder=self.decoder,
                cache_dir=cache / f"turned-{turn}" if turn else cache,
                expiry_s=self._cached_s,
                progress=progress,
                cancel=cancel,
            )

        known = self.decoder.turn_of(path)
        if known:
            return tracked(known)
        tracks: tuple[Track, ...] = ()
        refusal: FaceError | None = None
        try:
            tracks = tracked(0)
        except FaceError as error:
            refusal = error
        turn = clip_turn(path, tracks, self.decoder, self.models_dir)
        if turn:
            self.decoder.turn(path, turn)
            return tracked(turn)
        if refusal is not None:
            raise refusal
        return tracks

    def animate(
        self,
        request: AnimationRequest,
        output: StrPath,
        *,
        cancel: CancelToken | None = None,
        watch: Callable[[Event], None] | None = None,
    ) -> Result:
        """Run the request in this thread and return its result; `watch` sees the events on the way.

        Raises a `FantasyPortraitError`; then nothing was written.
        """
        if not isinstance(request, AnimationRequest):
            raise RequestError(f"request is {shown(request)}: give an AnimationRequest")
        return Run(
            self, request, as_path(output, "output"), cancel or CancelToken(), watch or (lambda event: None)
        ).result()

    def events(
        self, request: AnimationRequest, output: StrPath, cancel: CancelToken | None = None
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

        # The program waits for it at its end, also where a thread that it would not wait for starts it.
        worker = threading.Thread(target=work, name="fantasyportrait-animator", daemon=False)
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
