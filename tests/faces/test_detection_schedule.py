"""The detection schedule: frequent searches while a person is missing, rare ones while all are tracked."""

from itertools import pairwise

from fantasyportrait.faces.detection_schedule import DetectionSchedule


def thorough(followed: list[int], rate: int = 25) -> list[int]:
    """Frames with a thorough search, for the number of people tracked through each; no search finds anyone."""
    times, found = DetectionSchedule(), []
    for frame, count in enumerate(followed):
        if times.search(frame, frame / rate, count, cut=False) in ("thorough", "newcomers"):
            found.append(frame)
        times.found(frame / rate, count)
    return found


def test_empty_picture_search_interval_grows_to_1_s() -> None:
    frames = thorough([0] * 200)
    gaps = [after - before for before, after in pairwise(frames)]
    assert frames[:4] == [0, 1, 3, 7]
    assert gaps == sorted(gaps) and 24 <= gaps[-1] <= 26


def test_newcomer_beside_tracked_person_found_within_2_s() -> None:
    frames = thorough([1] * 500)
    assert max(after - before for before, after in pairwise(frames)) <= 50
    assert len(frames) <= 12


def test_a_loss_brings_searches_forward() -> None:
    alone = [frame for frame in thorough([1] * 110 + [0] * 60) if frame >= 110]
    assert alone[0] <= 111 and len(alone) >= 5
    fewer = [frame for frame in thorough([2] * 110 + [1] * 60) if frame >= 110]
    assert fewer[0] <= 118 and 2 <= len(fewer) <= 5


def test_quick_search_every_frame_only_after_a_loss() -> None:
    times = DetectionSchedule()
    searches = []
    for frame in range(200):
        followed = 2 if frame < 50 else 1
        searches.append(times.search(frame, frame / 25, followed, cut=False))
        times.found(frame / 25, followed)
    assert None not in searches[50:100]
    assert searches[104:200].count(None) > 75
    assert searches[1:48].count(None) > 42


def test_newcomers_are_searched_for_while_everybody_is_followed() -> None:
    times = DetectionSchedule(followed=2, most=2, next_s=1)
    assert times.search(30, 1.0, 2, cut=False) == "newcomers"
    assert times.search(90, 3.0, 1, cut=False) is not None
    assert times.search(120, 9.0, 1, cut=False) == "thorough"


def test_a_cut_is_always_searched_thoroughly() -> None:
    times = DetectionSchedule(followed=1, most=1, next_s=100)
    assert times.search(7, 0.3, 0, cut=True) == "thorough"
