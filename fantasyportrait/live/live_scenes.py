"""The live scenes of a server's visitors: a few at once, each guarded by a lock, idle ones closed."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.live.live_scene import LIVE_SIDE, LiveScene
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator

IDLE_S = 30.0
MAX_SCENES = 1


@dataclass(eq=False)
class _Place:
    """A visitor's place; `scene` is None while it is prepared."""

    used_s: float
    scene: LiveScene | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    cancel: CancelToken = field(default_factory=CancelToken)


class LiveScenes:
    """At most `limit` live scenes at once, one for each owner (a visitor's id). Thread-safe.

    A scene that no call used for `idle_s` seconds is closed; `clock` returns seconds. `on_end` gets the owner and his
    scene before it is closed for any reason, and raises nothing.
    """

    def __init__(
        self,
        animator: Animator,
        limit: int = MAX_SCENES,
        idle_s: float = IDLE_S,
        clock: Callable[[], float] = time.monotonic,
        on_end: Callable[[str, LiveScene], None] = lambda owner, scene: None,
    ) -> None:
        self._animator, self._limit, self._idle_s, self._clock = animator, limit, idle_s, clock
        self._on_end = on_end
        self._places: dict[str, _Place] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def open(self, owner: str, request: AnimationRequest, side: int = LIVE_SIDE, *, mirror: bool = False) -> None:
        """Prepare the owner's scene, in place of one that he has.

        Raises `RequestError` while all places are taken, `Cancelled` where it is closed meanwhile, and what `LiveScene`
        raises.
        """
        self.close(owner)
        self.close_idle()
        with self._lock:
            if len(self._places) >= self._limit:
                raise RequestError(
                    "{limit} live {scenes} running, which is all that "
                    "this server can draw at once: try again in a minute",
                    limit=self._limit,
                    scenes="scene is" if self._limit == 1 else "scenes are",
                )
            place = self._places[owner] = _Place(self._clock())
        try:
            scene = LiveScene(self._animator, request, side, mirror=mirror, cancel=place.cancel)
        except BaseException:
            self._remove(owner, place)
            raise
        with self._lock:
            place.scene, place.used_s = scene, self._clock()
            self._watch()
        if place.cancel.cancelled:
            scene.close()
            place.cancel.check()

    @contextmanager
    def use(self, owner: str) -> Iterator[LiveScene]:
        """The owner's scene, for this thread alone; others wait. Raises `RequestError` where he has none."""
        with self._lock:
            place = self._places.get(owner)
        if place is None or place.scene is None:
            raise RequestError("there is no live scene, or it was closed because it was not used: start it again")
        with place.lock:
            if place.cancel.cancelled:
                raise RequestError("the live scene was closed: start it again")
            place.used_s = self._clock()
            try:
                yield place.scene
            finally:
                place.used_s = self._clock()

    def close(self, owner: str) -> None:
        """Close the owner's scene after the call that uses it; nothing happens where he has none."""
        with self._lock:
            place = self._places.pop(owner, None)
        if place is not None:
            self._end(owner, place)

    def close_idle(self) -> None:
        """Close the scenes that no call used for a while; a timer calls this as well."""
        now = self._clock()
        with self._lock:
            idle = [
                (owner, place)
                for owner, place in self._places.items()
                if place.scene is not None and not place.lock.locked() and now - place.used_s >= self._idle_s
            ]
            for owner, _ in idle:
                del self._places[owner]
        for owner, place in idle:
            self._end(owner, place)

    def close_all(self) -> None:
        """Close every scene, and stop the timer."""
        with self._lock:
            places, self._places = self._places, {}
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        for owner, place in places.items():
            self._end(owner, place)

    def _remove(self, owner: str, place: _Place) -> None:
        with self._lock:
            if self._places.get(owner) is place:
                del self._places[owner]

    def _end(self, owner: str, place: _Place) -> None:
        place.cancel.cancel()
        with place.lock:
            if place.scene is not None:
                self._on_end(owner, place.scene)
                place.scene.close()

    def _watch(self) -> None:
        """Call `close_idle` later, as long as there are scenes; the lock is held."""
        if self._timer is None and self._places:
            self._timer = threading.Timer(self._idle_s / 2, self._on_timer)
            self._timer.daemon = True
            self._timer.start()

    def _on_timer(self) -> None:
        with self._lock:
            self._timer = None
        self.close_idle()
        with self._lock:
            self._watch()
