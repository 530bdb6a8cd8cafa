"""Checks of clips: shared between visitors, in fair turns, cancelled, refused, without late updates."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import pytest

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FaceError
from fantasyportrait.service.input_reader import InputReader
from fantasyportrait.studio.clip_checks import ClipChecks
from fantasyportrait.studio.clip_report import ClipReport
from fantasyportrait.studio.clip_update import ClipUpdate
from tests.factories_media import counting, grey, make_clip

WAIT_S = 60


class StepwiseAnalysis:
    """An analysis in which each clip waits for `steps`: a number of tracked rows of 100, "done", or an error to raise.

    Attributes:
        started: the names of the clips, in order.
        cancelled: the names of the clips whose analysis was cancelled.
    """

    def __init__(self) -> None:
        self.steps: SimpleQueue[object] = SimpleQueue()
        self.begun: SimpleQueue[str] = SimpleQueue()
        self.started: list[str] = []
        self.cancelled: SimpleQueue[str] = SimpleQueue()

    def __call__(
        self,
        inputs: InputReader,
        path: Path,
        max_length_s: float | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> ClipReport:
        assert progress is not None and cancel is not None
        self.started.append(path.name)
        self.begun.put(path.name)
        while (step := self.steps.get(timeout=WAIT_S)) != "done":
            if cancel.cancelled:
                self.cancelled.put(path.name)
            cancel.check()
            if isinstance(step, Exception):
                raise step
            assert isinstance(step, int)
            progress(step, 100)
        return ClipReport(1.0, 25.0, 64, 48, (), (), grey(0), ())


@dataclass
class Updates:
    """The updates of one clip."""

    all: list[ClipUpdate] = field(default_factory=list)
    new: "SimpleQueue[ClipUpdate]" = field(default_factory=SimpleQueue)

    def __call__(self, update: ClipUpdate) -> None:
        self.all.append(update)
        self.new.put(update)

    def until(self, state: str, done: int | None = None) -> ClipUpdate:
        """Wait for an update of this state, with so many rows."""
        while True:
            update = self.new.get(timeout=WAIT_S)
            if update.state == state and done in (None, update.done):
                return update


@pytest.fixture
def analysis() -> StepwiseAnalysis:
    """An analysis under control of the test."""
    return StepwiseAnalysis()


@pytest.fixture
def checks(analysis: StepwiseAnalysis) -> Iterator[ClipChecks]:
    """One lane, clips of up to two seconds."""
    checks = ClipChecks(InputReader(), max_length_s=2.0, analyse=analysis)
    yield checks
    for _ in range(20):
        analysis.steps.put("done")
    checks.close()


def clip(folder: Path, name: str, level: int = 10, frames: int = 5) -> Path:
    """A short clip of one grey; the same level gives the same bytes."""
    return make_clip(folder / name, [grey(level)] * frames)


def test_two_clips_of_the_same_content_share_one_check_and_its_progress(
    checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path
) -> None:
    first, second = Updates(), Updates()
    checks.check("a", "1", clip(tmp_path, "a.mp4"), first)
    analysis.steps.put(30)
    first.until("checking", 30)
    checks.check("b", "2", clip(tmp_path, "b.mp4"), second)
    assert second.until("checking").done == 30
    analysis.steps.put("done")
    assert first.until("ready").report is second.until("ready").report is not None
    assert analysis.started == ["a.mp4"]


def test_cancelling_one_of_two_clips_lets_the_check_go_on(
    checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path
) -> None:
    first, second = Updates(), Updates()
    checks.check("a", "1", clip(tmp_path, "a.mp4"), first)
    first.until("checking")
    checks.check("b", "2", clip(tmp_path, "b.mp4"), second)
    second.until("checking")
    checks.cancel("a", "1")
    analysis.steps.put(50)
    second.until("checking", 50)
    analysis.steps.put("done")
    second.until("ready")
    assert {update.state for update in first.all} <= {"waiting", "checking"}
    assert first.all[-1].done == 0 and analysis.started == ["a.mp4"]


def test_check_goes_on_with_another_file_of_the_same_content_when_the_first_is_deleted(
    checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path
) -> None:
    first, second = Updates(), Updates()
    path = clip(tmp_path, "a.mp4")
    checks.check("a", "1", path, first)
    first.until("checking")
    checks.check("b", "2", clip(tmp_path, "b.mp4"), second)
    second.until("checking")
    checks.cancel("a", "1")
    path.unlink()
    analysis.steps.put(FaceError("a.mp4 was changed while it was read"))
    analysis.steps.put("done")
    assert second.until("ready").path.name == "b.mp4"
    assert analysis.started == ["a.mp4", "b.mp4"]


def test_cancelling_the_only_clip_cancels_the_check(
    checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path
) -> None:
    first, second = Updates(), Updates()
    checks.check("a", "1", clip(tmp_path, "a.mp4"), first)
    analysis.begun.get(timeout=WAIT_S)
    checks.cancel("a", "1")
    # The same content again does not join the check that is being cancelled.
    checks.check("b", "2", clip(tmp_path, "b.mp4"), second)
    second.until("waiting")
    analysis.steps.put(10)
    assert analysis.cancelled.get(timeout=WAIT_S) == "a.mp4"
    analysis.steps.put("done")
    second.until("ready")
    assert all(update.state in ("waiting", "checking") for update in first.all)


def test_cancelling_a_waiting_clip_removes_it_from_the_lane(
    checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path
) -> None:
    updates = [Updates() for _ in range(3)]
    for number in range(3):
        checks.check(str(number), "1", clip(tmp_path, f"{number}.mp4", 10 * number), updates[number])
        updates[number].until("waiting" if number else "checking")
    checks.cancel("1", "1")
    analysis.steps.put("done")
    analysis.steps.put("done")
    updates[2].until("ready")
    assert analysis.started == ["0.mp4", "2.mp4"] and [update.state for update in updates[1].all] == ["waiting"]


def test_replaced_clip_gets_no_update_of_the_file_before(
    checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path
) -> None:
    before, after = Updates(), Updates()
    checks.check("a", "1", clip(tmp_path, "before.mp4", 10), before)
    before.until("checking")
    checks.check("a", "1", clip(tmp_path, "after.mp4", 20), after)
    after.until("waiting")
    analysis.steps.put("done")  # the late answer for the file before
    analysis.steps.put("done")
    assert after.until("ready").path.name == "after.mp4"
    assert {update.state for update in before.all} <= {"waiting", "checking"}


def test_owners_take_turns(checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path) -> None:
    orders = [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5), ("c", 6)]
    updates = []
    for owner, number in orders:
        updates.append(Updates())
        checks.check(owner, str(number), clip(tmp_path, f"{owner}{number}.mp4", 10 * number), updates[-1])
        updates[-1].until("waiting" if number > 1 else "checking")
    for _ in orders:
        analysis.steps.put("done")
    for each in updates:
        each.until("ready")
    assert [name.removesuffix(".mp4") for name in analysis.started] == ["a1", "b4", "c6", "a2", "b5", "a3"]


def test_clip_that_reports_too_long_is_refused_before_tracking_and_without_waiting(
    checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path
) -> None:
    running, long = Updates(), Updates()
    checks.check("a", "1", clip(tmp_path, "a.mp4"), running)
    running.until("checking")
    checks.check("b", "2", clip(tmp_path, "long.mp4", frames=75), long)
    error = long.until("failed").error
    assert error.endswith("lasts 3.0 s, and a driving clip may last 2 s: cut it, or use a shorter one")
    assert analysis.started == ["a.mp4"] and [update.state for update in long.all] == ["failed"]


@pytest.mark.parametrize("content", [b"", b"no clip at all " * 50])
def test_file_that_is_no_clip_fails_with_a_sentence(checks: ClipChecks, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    updates = Updates()
    checks.check("a", "1", path, updates)
    assert str(path) in updates.until("failed").error


@pytest.mark.parametrize("error", [FaceError("no face in it"), ZeroDivisionError("a fault of ours")])
def test_failed_check_ends_with_a_sentence_and_the_lane_goes_on(
    checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path, error: Exception
) -> None:
    first, second = Updates(), Updates()
    checks.check("a", "1", clip(tmp_path, "a.mp4", 10), first)
    analysis.steps.put(error)
    assert ("no face in it" if isinstance(error, FaceError) else "ZeroDivisionError") in first.until("failed").error
    checks.check("a", "2", clip(tmp_path, "b.mp4", 20), second)
    analysis.steps.put("done")
    second.until("ready")


def test_update_that_raises_does_not_stop_the_lane(
    checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path
) -> None:
    def raising(update: ClipUpdate) -> None:
        raise OSError("the disk is full")

    after = Updates()
    checks.check("a", "1", clip(tmp_path, "a.mp4", 10), raising)
    checks.check("b", "2", clip(tmp_path, "b.mp4", 20), after)
    analysis.steps.put("done")
    analysis.steps.put("done")
    after.until("ready")


def test_progress_gives_an_update_for_each_hundredth_only(
    checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path
) -> None:
    updates = Updates()
    checks.check("a", "1", clip(tmp_path, "a.mp4"), updates)
    for step in (1, 1, 1, 2, 2, "done"):
        analysis.steps.put(step)
    updates.until("ready")
    assert [update.done for update in updates.all if update.state == "checking" and update.total] == [1, 2]


def test_job_joins_the_check_under_way(checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path) -> None:
    updates, progress = Updates(), SimpleQueue[int]()
    path = clip(tmp_path, "a.mp4")
    checks.check("a", "1", path, updates)
    updates.until("checking")
    ended = threading.Event()

    def job() -> None:
        checks.join("a", "job", path, lambda done, _: progress.put(done))
        ended.set()

    thread = threading.Thread(target=job)
    thread.start()
    progress.get(timeout=WAIT_S)
    checks.cancel("a", "1")  # the job still needs the check
    analysis.steps.put(70)
    while progress.get(timeout=WAIT_S) != 70:
        pass
    assert not ended.is_set()
    analysis.steps.put("done")
    thread.join(WAIT_S)
    assert ended.is_set() and analysis.started == ["a.mp4"]


def test_job_of_a_clip_that_is_not_being_checked_does_not_wait(
    checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path
) -> None:
    checks.join("a", "job", clip(tmp_path, "a.mp4"))
    assert analysis.started == []


def test_cancelled_job_leaves_the_check(checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path) -> None:
    updates, cancel = Updates(), CancelToken()
    path = clip(tmp_path, "a.mp4")
    checks.check("a", "1", path, updates)
    updates.until("checking")
    cancel.cancel()
    with pytest.raises(Cancelled):
        checks.join("b", "job", path, cancel=cancel)
    analysis.steps.put("done")
    updates.until("ready")


def test_cancel_all_removes_every_clip_of_one_owner(
    checks: ClipChecks, analysis: StepwiseAnalysis, tmp_path: Path
) -> None:
    updates = [Updates() for _ in range(3)]
    for number, owner in enumerate(("a", "b", "b")):
        checks.check(owner, str(number), clip(tmp_path, f"{number}.mp4", 10 * number), updates[number])
        updates[number].until("waiting" if number else "checking")
    checks.cancel_all("b")
    analysis.steps.put("done")
    updates[0].until("ready")
    assert analysis.started == ["0.mp4"]


def test_close_ends_a_running_check_without_an_update(tmp_path: Path) -> None:
    begun = threading.Event()

    def analyse(
        inputs: InputReader,
        path: Path,
        max_length_s: float | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> ClipReport:
        begun.set()
        while True:
            assert cancel is not None
            cancel.check()

    checks, updates = ClipChecks(InputReader(), analyse=analyse), Updates()
    checks.check("a", "1", make_clip(tmp_path / "a.mp4", [counting(0)]), updates)
    assert begun.wait(WAIT_S)
    checks.close()
    checks.close()
    assert all(update.state in ("waiting", "checking") for update in updates.all)
