"""The live scenes of several visitors: limits, locks, idle ones."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.errors import Cancelled, FaceError, RequestError
from fantasyportrait.live import live_scenes
from fantasyportrait.live.live_scenes import LiveScenes
from fantasyportrait.schema.request import AnimationRequest

REQUEST = AnimationRequest("photo.png", "1=motion:nod")


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """Stands for a prepared scene: it is known whether it was closed."""

    def __init__(self, animator: Any, request: Any, side: int, *, mirror: bool, cancel: Any) -> None:
        self.cancel, self.closed = cancel, False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scenes(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveScenes]:
    monkeypatch.setattr(live_scenes, "LiveScene", Scene)
    # The timer of a test never fires: its clock decides.
    scenes = LiveScenes(None, limit=2, idle_s=1000.0, clock=clock)  # type: ignore[arg-type]
    yield scenes
    scenes.close_all()


def _scene(scenes: LiveScenes, owner: str) -> Any:
    with scenes.use(owner) as scene:
        return scene


def test_next_visitor_is_refused_until_one_leaves(scenes: LiveScenes) -> None:
    scenes.open("a", REQUEST)
    scenes.open("b", REQUEST)
    with pytest.raises(RequestError, match="^2 live scenes are running, which is all that this server can draw"):
        scenes.open("c", REQUEST)
    first = _scene(scenes, "a")
    assert _scene(scenes, "b") is not first
    scenes.close("a")
    assert first.closed
    scenes.open("c", REQUEST)
    with pytest.raises(RequestError, match="there is no live scene"):
        _scene(scenes, "a")


def test_owner_who_opens_again_gets_a_new_scene(scenes: LiveScenes) -> None:
    scenes.open("a", REQUEST)
    before = _scene(scenes, "a")
    scenes.open("b", REQUEST)
    scenes.open("a", REQUEST)
    assert before.closed and _scene(scenes, "a") is not before


def test_idle_scene_is_closed_and_used_one_stays(scenes: LiveScenes, clock: Clock) -> None:
    scenes.open("a", REQUEST)
    scenes.open("b", REQUEST)
    idle = _scene(scenes, "a")
    clock.now = 999.0
    used = _scene(scenes, "b")
    clock.now = 1000.0
    scenes.close_idle()
    assert idle.closed and not used.closed
    scenes.open("c", REQUEST)


def test_scene_in_use_is_not_idle_and_is_closed_after_its_call(scenes: LiveScenes, clock: Clock) -> None:
    scenes.open("a", REQUEST)
    with scenes.use("a") as scene:
        clock.now = 5000.0
        scenes.close_idle()
        closing = threading.Thread(target=scenes.close, args=("a",))
        closing.start()
        assert scene.cancel._event.wait(60)
        assert not scene.closed
    closing.join(60)
    assert scene.closed


def test_failed_preparation_frees_the_place(scenes: LiveScenes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise FaceError("no face was found")

    with monkeypatch.context() as patch:
        patch.setattr(live_scenes, "LiveScene", fail)
        for owner in ("a", "b", "c"):
            with pytest.raises(FaceError):
                scenes.open(owner, REQUEST)
    scenes.open("a", REQUEST)


def test_scene_closed_while_it_is_prepared_is_cancelled(scenes: LiveScenes, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Scene] = []

    def slow(*arguments: Any, **options: Any) -> Scene:
        with pytest.raises(RequestError, match="there is no live scene"):
            _scene(scenes, "a")
        scenes.close("a")
        made.append(Scene(*arguments, **options))
        return made[0]

    monkeypatch.setattr(live_scenes, "LiveScene", slow)
    with pytest.raises(Cancelled):
        scenes.open("a", REQUEST)
    assert made[0].closed
    with pytest.raises(RequestError, match="there is no live scene"):
        _scene(scenes, "a")


def test_timer_closes_an_idle_scene(clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    closed = threading.Event()
    monkeypatch.setattr(live_scenes, "LiveScene", Scene)
    monkeypatch.setattr(Scene, "close", lambda self: closed.set())
    scenes = LiveScenes(None, idle_s=0.02, clock=clock)  # type: ignore[arg-type]
    scenes.open("a", REQUEST)
    clock.now = 1.0
    assert closed.wait(60)
    scenes.close_all()
