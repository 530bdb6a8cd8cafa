"""The side-by-side shows driving, source and result at one height, a frame of each for every output frame."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.core.errors import RequestError
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.media.compose import Panel, side_by_side
from fantasyportrait.media.timeline import Timeline
from tests.factories_media import counting, number_of, quadrants, tone


def counted(frames: int, asked: list[int]) -> Iterator[NDArray[np.uint8]]:
    for index in range(frames):
        asked.append(index)
        yield counting(index)


def test_each_panel_moves_one_frame_at_a_time(tmp_path: Path) -> None:
    asked: list[int] = []
    panels = [
        Panel("result", counted(20, asked)),
        Panel("driving", counted(5, []), column="driving"),
        Panel("source", still=quadrants(), column="source"),
    ]
    timeline = Timeline(Fraction(30000, 1001), 20)
    out = tmp_path / "out.mp4"
    side_by_side(out, panels, timeline, iter([tone(1)]))
    assert asked == list(range(20))
    frames = list(read_clip(out, timeline.rate))
    info = probe_clip(out)
    assert len(frames) == 20 and info.has_sound and info.width % 2 == info.height % 2 == 0
    third = info.width // 3
    for index, frame in enumerate(frames):
        picture = frame[30:-4]
        assert number_of(picture[:, 12 : third - 12]) == min(index, 4)
        assert number_of(picture[:, 2 * third + 12 : -12]) == index
    assert int(frames[0][34, third + 12].argmax()) == 0


def test_drivers_stand_on_each_other_and_heights_are_capped(tmp_path: Path) -> None:
    big = np.full((800, 400, 3), 200, np.uint8)
    drivers = [Panel(f"face {i}", counted(3, []), column="driving") for i in (1, 2, 3)]
    side_by_side(tmp_path / "a.mp4", [*drivers, Panel("result", iter([big]))], Timeline(Fraction(25), 3))
    info = probe_clip(tmp_path / "a.mp4")
    assert 360 <= info.height <= 400
    frame = next(read_clip(tmp_path / "a.mp4"))
    assert frame[200, -30].min() > 180


def test_a_panel_without_pictures_is_refused(tmp_path: Path) -> None:
    for panels in (lambda: [], lambda: [Panel("a", iter(()))], lambda: [Panel("a")]):
        with pytest.raises(RequestError):
            side_by_side(tmp_path / "a.mp4", panels(), Timeline(Fraction(25), 3))
    assert list(tmp_path.iterdir()) == []
