"""The side-by-side video: driving clips, source and result at one height, one frame of each for every output frame."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.core.errors import RequestError
from fantasyportrait.images.images import load_photo
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.media.compose import Panel, side_by_side
from fantasyportrait.schema.timeline import Timeline
from tests.factories_media import counting, grey, number_of, quadrants, tone


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


def test_drivers_are_stacked_with_capped_heights(tmp_path: Path) -> None:
    big = np.full((800, 400, 3), 200, np.uint8)
    drivers = [Panel(f"face {i}", counted(3, []), column="driving") for i in (1, 2, 3)]
    side_by_side(tmp_path / "a.mp4", [*drivers, Panel("result", iter([big]))], Timeline(Fraction(25), 3))
    info = probe_clip(tmp_path / "a.mp4")
    assert 360 <= info.height <= 400
    frame = next(read_clip(tmp_path / "a.mp4"))
    assert frame[200, -30].min() > 180


@pytest.mark.parametrize("drivers", [1, 3, 8, 12, 30])
def test_layout_fits_any_number_of_drivers(tmp_path: Path, drivers: int) -> None:
    """Each driver shows its own grey, nowhere under another panel, and a badge in its colour."""
    levels = [40 + 6 * number for number in range(drivers)]
    panels = [
        Panel("a.mp4", iter([grey(level, 96, 54)] * 2), column="driving", badges=((str(level), (255, 0, 0)),))
        for level in levels
    ]
    panels += [Panel("source", still=grey(0, 640, 360), column="source"), Panel("result", iter([grey(255, 640, 360)]))]
    out = tmp_path / "out"
    side_by_side(out, panels, Timeline(Fraction(25), 2))
    frame = load_photo(out / "frame_000002.png").pixels
    assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0 and frame.shape[1] < 2400
    for level in levels:
        rows, columns = np.nonzero((frame == level).all(axis=2))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert height >= 80 and len(rows) == height * width
    assert (frame == (255, 0, 0)).all(axis=2).sum() > 100 * drivers
    assert (frame == 255).all(axis=2).sum() >= 640 * 360


def test_repeated_frame_is_drawn_once(tmp_path: Path) -> None:
    held = grey(90)
    panels = [Panel("a", iter([held, held, grey(200), held])), Panel("b", iter([grey(20)]), column="driving")]
    side_by_side(tmp_path / "out", panels, Timeline(Fraction(25), 5))
    shown = [load_photo(path).pixels[50, -30, 0] for path in sorted((tmp_path / "out").iterdir())]
    assert shown == [90, 90, 200, 90, 90]


def test_a_panel_without_pictures_is_refused(tmp_path: Path) -> None:
    for panels in (lambda: [], lambda: [Panel("a", iter(()))], lambda: [Panel("a")]):
        with pytest.raises(RequestError):
            side_by_side(tmp_path / "a.mp4", panels(), Timeline(Fraction(25), 3))
    assert list(tmp_path.iterdir()) == []
