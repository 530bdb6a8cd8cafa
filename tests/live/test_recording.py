"""Recordings of live scenes: uneven times become a constant rate."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fantasyportrait.core.errors import OutputError
from fantasyportrait.live import recording as live_recording
from fantasyportrait.live.recording import LiveRecording
from fantasyportrait.media.clips import probe_clip, read_clip

SIZE = (32, 16)


def _grey(value: int) -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), value, np.uint8)


def test_frame_is_shown_until_the_next_one(tmp_path: Path) -> None:
    recording = LiveRecording(tmp_path / "out.mp4", SIZE)
    for value, at_s in ((40, 100.0), (90, 100.1), (140, 100.13), (200, 100.4)):
        recording.add(_grey(value), at_s)
    assert not (tmp_path / "out.mp4").exists() and recording.length_s == 0.4
    assert recording.finish() == recording.finish() == tmp_path / "out.mp4"
    shown = [float(frame.mean()) for frame in read_clip(tmp_path / "out.mp4")]
    # At 25 frames a second: 0.1 s is frame 2, 0.13 s frame 3, 0.4 s frame 10.
    np.testing.assert_allclose(shown, [40] * 2 + [90] + [140] * 7 + [200], atol=6)
    assert probe_clip(tmp_path / "out.mp4").rate == 25


@settings(max_examples=20)
@given(st.lists(st.floats(0, 4, allow_nan=False), min_size=1, max_size=12))
def test_length_is_that_of_the_times(gaps: list[float]) -> None:
    written: list[int] = []

    class Writer:
        def __enter__(self) -> "Writer":
            return self

        def __exit__(self, *_: object) -> None:
            written.append(-1)

        def write(self, frame: np.ndarray) -> None:
            written.append(int(frame[0, 0, 0]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_recording, "VideoWriter", lambda *_, **__: Writer())
        recording = LiveRecording(Path("out.mp4"), SIZE)
        times = 7 + np.cumsum(gaps)
        for number, at_s in enumerate(times):
            recording.add(_grey(number), float(at_s))
        recording.finish()
    assert written.pop() == -1 and written == sorted(written)
    last = int((times[-1] - times[0]) * 25 + 1e-6)
    assert abs(len(written) - (last + 1)) <= 1


def test_recording_ends_at_its_longest_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_recording, "MAX_RECORDING_S", 1)
    recording = LiveRecording(tmp_path / "out.mp4", SIZE)
    recording.add(_grey(40), 0.0)
    recording.add(_grey(90), 1e9)
    assert recording.finished and recording.length_s == 1.0
    recording.add(_grey(200), 2e9)
    assert recording.finish() == tmp_path / "out.mp4"
    assert len(list(read_clip(tmp_path / "out.mp4"))) == 25


def test_cancelled_or_empty_recording_leaves_nothing(tmp_path: Path) -> None:
    cancelled = LiveRecording(tmp_path / "out.mp4", SIZE)
    cancelled.add(_grey(40), 0.0)
    cancelled.cancel()
    cancelled.cancel()
    empty = LiveRecording(tmp_path / "empty.mp4", SIZE)
    with pytest.raises(OutputError, match="not a single frame"):
        empty.finish()
    assert list(tmp_path.iterdir()) == []
