"""Tracking of people in synthetic clips with ground truth, and in real ones."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.digests import hash_file
from fantasyportrait.core.errors import Cancelled, FaceError, MediaError
from fantasyportrait.core.limits import PRIVATE
from fantasyportrait.faces.clip_tracking import track_clip
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.track_cache import cached_tracks
from fantasyportrait.media.decoder import LocalDecoder
from fantasyportrait.schema.face import Track
from tests.faces.scenes import Head, Placement, empty_room, paste, write_clip, write_stamped
from tests.factories_media import ClipSpec, make_clip

Heads = tuple[Head, Head]
Crossed = Callable[..., tuple[Track, ...]]


def carried(track: Track, head: Head, places: list[Placement]) -> NDArray[np.float64]:
    """Landmarks (T, 478, 2) of the first row, carried along by the head's known motion."""
    start = places[0].matrix(head)
    inside = (track.landmarks[0, :, :2] - start[:, 2]) @ np.linalg.inv(start[:, :2]).T
    matrices = [place.matrix(head) for place in places]
    return np.stack([inside @ matrix[:, :2].T + matrix[:, 2] for matrix in matrices])


def error(track: Track, head: Head, places: list[Placement]) -> NDArray[np.float64]:
    """Mean landmark error of each row (T,), in face widths."""
    truth = carried(track, head, places)
    widths = np.linalg.norm(truth[:, 454] - truth[:, 234], axis=1)
    return np.linalg.norm(track.landmarks[..., :2] - truth, axis=2).mean(axis=1) / widths


MOTIONS: dict[str, Callable[[float], Placement]] = {
    "shift": lambda t: Placement(160 + 70 * np.sin(t), 120 + 25 * np.sin(2 * t), 150),
    "scale": lambda t: Placement(160, 120, 150 * (1 + 0.25 * np.sin(t))),
    "turn": lambda t: Placement(160, 120, 150, 25 * np.sin(t)),
    "all": lambda t: Placement(
        160 + 50 * np.sin(t), 120 + 15 * np.sin(2 * t), 150 + 25 * np.sin(t), 20 * np.sin(1.5 * t)
    ),
}


@pytest.mark.parametrize("motion", MOTIONS)
def test_landmarks_follow_a_known_motion(tmp_path: Path, models_dir: Path, heads: Heads, motion: str) -> None:
    places = [MOTIONS[motion](t) for t in np.linspace(0, 2 * np.pi, 40)]
    clip = write_clip(tmp_path / "moved.mp4", (paste(empty_room(), heads[0], place) for place in places))
    (track,) = track_clip(clip, models=FaceModels(models_dir))
    assert track.size == (320, 240)
    assert track.valid.all()
    errors = error(track, heads[0], places)
    assert errors.mean() < 0.015
    assert errors.max() < 0.03


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory, heads: Heads) -> Path:
    """Two people who cross, the right one in front: 2.6 s, apart for the first and the last second."""
    xs = np.concatenate([np.full(20, 75.0), np.linspace(75, 245, 25), np.full(20, 245.0)])

    def frame(x: float) -> NDArray[np.uint8]:
        return paste(paste(empty_room(), heads[0], Placement(x, 116)), heads[1], Placement(320 - x, 124))

    return write_clip(tmp_path_factory.mktemp("crossing") / "crossing.mp4", map(frame, xs))


@pytest.fixture(scope="module")
def crossed(crossing: Path, tmp_path_factory: pytest.TempPathFactory) -> Crossed:
    """Tracks of a part of it at a rate, from one analysis."""
    return partial(cached_tracks, hash_file(crossing), cache_dir=tmp_path_factory.mktemp("crossed"))


def test_simultaneous_people_are_numbered_from_the_left(crossed: Crossed) -> None:
    tracks = crossed()
    assert [track.person for track in tracks] == [1, 2]
    assert tracks[0].landmarks[0, :, 0].mean() < 160 < tracks[1].landmarks[0, :, 0].mean()
    assert tracks[1].landmarks[-1, :, 0].mean() < 160 < tracks[0].landmarks[-1, :, 0].mean()


@pytest.mark.parametrize(("start_s", "end_s", "fresh"), [(0.0, 0.6, True), (2.0, None, True), (0.4, 1.44, False)])
def test_numbers_do_not_depend_on_the_part(
    crossing: Path, crossed: Crossed, models_dir: Path, start_s: float, end_s: float, fresh: bool
) -> None:
    whole = crossed()
    resample_tracks = partial(track_clip, crossing, models=FaceModels(models_dir)) if fresh else crossed
    part = resample_tracks(start_s=start_s, end_s=end_s)
    assert [track.person for track in part] == [1, 2]
    first = round(start_s * 25)
    for track, known in zip(part, whole, strict=True):
        rows = slice(first, first + len(track))
        both = track.valid & known.valid[rows]
        assert both.any() and np.array_equal(track.valid, known.valid[rows])
        np.testing.assert_allclose(track.landmarks[both], known.landmarks[rows][both], atol=0.1)


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30), Fraction(60)])
def test_every_rate_gets_the_same_motion(crossed: Crossed, rate: Fraction) -> None:
    plain, other = crossed()[1], crossed(rate=rate)[1]
    assert len(other) == round(65 / 25 * rate)
    x = np.interp(np.arange(len(other)) / float(rate) * 25, np.arange(65), plain.landmarks[:, 1, 0])
    np.testing.assert_allclose(other.landmarks[:, 1, 0], x, atol=1.0)


@pytest.mark.parametrize("front", [0, 1])
def test_crossing_people_keep_numbers(tmp_path: Path, models_dir: Path, heads: Heads, front: int) -> None:
    ways = [np.linspace(75, 245, 48), np.linspace(245, 75, 48)]
    places = [[Placement(float(x), 120 + 8 * i) for x in way] for i, way in enumerate(ways)]
    back = 1 - front

    def frame(i: int) -> NDArray[np.uint8]:
        return paste(paste(empty_room(), heads[back], places[back][i]), heads[front], places[front][i])

    clip = write_clip(tmp_path / "crossing.mp4", map(frame, range(48)))
    tracks = track_clip(clip, models=FaceModels(models_dir))
    assert len(tracks) == 2
    tracks = tuple(sorted(tracks, key=lambda track: track.landmarks[0, :, 0].mean()))
    assert tracks[front].valid.all()
    assert error(tracks[front], heads[front], places[front]).mean() < 0.02
    apart = np.abs(ways[0] - ways[1]) > 100
    assert tracks[back].valid[apart].all()
    assert error(tracks[back], heads[back], places[back])[apart].max() < 0.06
    assert not tracks[back].valid[23:25].any()


def test_similar_people_crossing_in_four_frames_keep_numbers(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    """In one frame of the crossing a person's only possible face fits the other person better: both must be paired."""
    light = heads[1]
    dark = Head(np.asarray(light.pixels * 0.92, np.uint8), light.alpha)
    left = np.array([84] * 8 + [144, 210] + [249] * 8, np.float64)
    right = np.array([232] * 8 + [230, 188] + [133] * 8, np.float64)

    def frame(i: int) -> NDArray[np.uint8]:
        return paste(paste(empty_room(), dark, Placement(right[i], 118, 76)), light, Placement(left[i], 110, 86))

    clip = write_clip(tmp_path / "crossing.mp4", map(frame, range(18)), rate=15)
    tracks = track_clip(clip, Fraction(15), models=FaceModels(models_dir))
    assert [track.person for track in tracks] == [1, 2]
    apart = np.abs(left - right) > 50
    for track, x in zip(tracks, (left, right), strict=True):
        assert track.valid.all()
        moved = track.landmarks[:, 1, 0] - track.landmarks[0, 1, 0]
        np.testing.assert_allclose(moved[apart], (x - x[0])[apart], atol=6)


def test_similar_newcomer_does_not_take_an_absent_number(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    """Person 1 stays; person 2 leaves, and 1.2 s later a third person comes to where person 2 was."""
    first, second, third = (
        Head(np.asarray(heads[1].pixels * light, np.uint8), heads[1].alpha) for light in (0.9, 0.84, 0.97)
    )

    def frame(i: int) -> NDArray[np.uint8]:
        picture = paste(empty_room(), first, Placement(80, 120, 90))
        if 12 <= i < 24:
            return picture
        return paste(picture, second if i < 12 else third, Placement(240, 120, 90))

    clip = write_clip(tmp_path / "newcomer.mp4", map(frame, range(40)), rate=10)
    tracks = track_clip(clip, Fraction(10), models=FaceModels(models_dir))
    assert [int(track.valid.sum()) for track in tracks] == [40, 12, 16]
    for track, x in zip(tracks, (80, 240, 240), strict=True):
        assert np.abs(track.landmarks[:, 1, 0] - x).max() < 10


def test_lost_face_returns_as_same_person(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    places = [Placement(110 + 2.0 * i, 120, 140) for i in range(50)]
    frames = [empty_room() if 20 <= i < 30 else paste(empty_room(), heads[1], place) for i, place in enumerate(places)]
    (track,) = track_clip(write_clip(tmp_path / "lost.mp4", frames), models=FaceModels(models_dir))
    assert np.flatnonzero(~track.valid).tolist() == list(range(20, 30))
    np.testing.assert_allclose(
        track.landmarks[25], track.landmarks[19] + (track.landmarks[30] - track.landmarks[19]) * 6 / 11, atol=1e-3
    )
    np.testing.assert_array_equal(track.mouth(21), track.mouth(19))
    np.testing.assert_array_equal(track.mouth(29), track.mouth(30))


def test_late_face_is_held_before_entry(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    frames = [empty_room() if i < 8 else paste(empty_room(), heads[0], Placement(160, 120, 140)) for i in range(24)]
    (track,) = track_clip(write_clip(tmp_path / "late.mp4", frames), models=FaceModels(models_dir))
    assert track.valid.tolist() == [False] * 8 + [True] * 16
    np.testing.assert_array_equal(track.landmarks[0], track.landmarks[8])


def test_a_cut_to_another_person_and_back(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    shots = [
        paste(empty_room(), heads[0], Placement(150, 120, 190)),
        paste(255 - empty_room(), heads[1], Placement(160, 120, 190)),
    ]
    order = [0] * 12 + [1] * 12 + [0] * 12
    clip = write_clip(tmp_path / "cut.mp4", (shots[k] for k in order))
    tracks = track_clip(clip, models=FaceModels(models_dir))
    assert sorted(int(track.valid.sum()) for track in tracks) == [12, 24]
    assert not (tracks[0].valid & tracks[1].valid).any()


def test_a_flash_or_darkness_is_no_new_person(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    light = [0.4 if i >= 20 else 1.7 if 8 <= i < 11 else 1.0 for i in range(30)]
    frames = [paste(empty_room(), heads[0], Placement(150 + i, 120, 190)) for i in range(30)]
    lit = (np.clip(frame * share, 0, 255).astype(np.uint8) for frame, share in zip(frames, light, strict=True))
    (track,) = track_clip(write_clip(tmp_path / "flash.mp4", lit), models=FaceModels(models_dir))
    assert track.valid.all()


def test_short_false_detection_is_dropped(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    still = paste(empty_room(), heads[0], Placement(80, 120))
    both = paste(still, heads[1], Placement(240, 120))
    frames = [both if 40 <= i < 42 else still for i in range(60)]
    (track,) = track_clip(write_clip(tmp_path / "ghost.mp4", frames), models=FaceModels(models_dir))
    assert track.valid.all()


def wide(tile: NDArray[np.uint8], x: int) -> NDArray[np.uint8]:
    """A picture of 960 x 540 pixels with the tile in it."""
    picture = np.full((540, 960, 3), tile[0, 0], np.uint8)
    picture[100 : 100 + tile.shape[0], x : x + tile.shape[1]] = tile
    return picture


def small(head: Head) -> NDArray[np.uint8]:
    """A head of 45 pixels in 60 x 60 of the room: its face is 30 pixels wide."""
    return paste(empty_room(), head, Placement(160, 120, 45))[90:150, 130:190]


def test_small_late_person_is_found(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    tile, empty = small(heads[0]), np.full((60, 60, 3), empty_room()[90, 130], np.uint8)
    frames = [wide(tile if i >= 20 else empty, 400) for i in range(75)]
    (track,) = track_clip(write_clip(tmp_path / "walks_in.mp4", frames), models=FaceModels(models_dir))
    first = int(np.argmax(track.valid))
    assert 20 <= first <= 20 + 25
    assert track.valid[first:].all()
    assert np.abs(track.landmarks[:, 1, 0] - 430).max() < 12


def test_small_newcomer_among_others_found_within_2_s(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    one = paste(empty_room(), heads[1], Placement(160, 120, 140))

    def frame(number: int) -> NDArray[np.uint8]:
        picture = wide(one, 40)
        if number >= 30:
            picture[100:160, 800:860] = small(heads[0])
        return picture

    known, late = track_clip(write_clip(tmp_path / "joins.mp4", map(frame, range(100))), models=FaceModels(models_dir))
    assert (known.person, late.person) == (1, 2) and known.valid.all()
    first = int(np.argmax(late.valid))
    assert 30 <= first <= 30 + 50 and late.valid[first:].all()


def test_crowd_tracks_largest_and_counts_rest(
    tmp_path: Path, models_dir: Path, heads: Heads, monkeypatch: pytest.MonkeyPatch
) -> None:
    heights = (40, 90, 60, 110)
    picture = np.concatenate(
        [paste(empty_room(), heads[i % 2], Placement(160, 120, h))[:, 80:240] for i, h in enumerate(heights)], 1
    )
    clip = write_clip(tmp_path / "crowd.mp4", [picture] * 12)
    limits = replace(PRIVATE, people=2)
    tracks = track_clip(clip, models=FaceModels(models_dir), decoder=LocalDecoder(limits))
    assert [track.left_out for track in tracks] == [2, 2]
    assert [round(float(track.landmarks[0, 1, 0]) / 160 - 0.5) for track in tracks] == [1, 3]
    everybody = track_clip(clip, models=FaceModels(models_dir))
    assert [track.person for track in everybody] == [1, 2, 3, 4] and everybody[0].left_out == 0


def test_crowd_of_64_costs_as_eight_people(models_dir: Path, cases_dir: Path) -> None:
    tracks = track_clip(cases_dir / "hostile" / "people64_2s.mp4", end_s=0.2, models=FaceModels(models_dir))
    assert [track.person for track in tracks] == list(range(1, 9))
    assert {track.left_out for track in tracks} == {56}


def test_a_film_of_gaps_is_refused(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    still = paste(empty_room(), heads[0], Placement(160, 120))
    gaps = write_stamped(tmp_path / "gaps.mp4", ((Fraction(50 * i), still) for i in range(6)))
    with pytest.raises(MediaError, match=r"gaps\.mp4 shows 6 frames in 250 s, fewer than one in 2 s"):
        track_clip(gaps, models=FaceModels(models_dir))
    slow = write_stamped(tmp_path / "slow.mp4", ((Fraction(i), still) for i in range(6)))
    (track,) = track_clip(slow, models=FaceModels(models_dir))
    assert len(track) > 120 and len(track.mouths) == 6


def test_face_of_few_frames_without_lengths_is_tracked(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    """As a slow webcam records: in WebM a frame has the length of the header's rate, however long it is shown."""
    still = paste(empty_room(), heads[0], Placement(160, 120))
    spec = ClipSpec("libvpx", stamps=[0, 1500, 3900], options=(("deadline", "realtime"),))
    clip = make_clip(tmp_path / "webcam.webm", [still] * 3, spec)
    (track,) = track_clip(clip, models=FaceModels(models_dir))
    assert track.valid.all() and len(track) > 85


def test_track_rows_are_limited(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    clip = write_clip(tmp_path / "long.mp4", [paste(empty_room(), heads[0], Placement(160, 120))] * 50)
    decoder = LocalDecoder(replace(PRIVATE, track_rows=20))
    (track,) = track_clip(clip, Fraction(50), 0.5, models=FaceModels(models_dir), decoder=decoder)
    assert len(track) == 20


def test_late_span_is_refused_before_decoding(
    tmp_path: Path, models_dir: Path, heads: Heads, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "long.mp4", [paste(empty_room(), heads[0], Placement(160, 120))] * 50)
    decoder = LocalDecoder(replace(PRIVATE, clip_length_s=1.0))
    (track,) = track_clip(clip, end_s=1.0, models=FaceModels(models_dir), decoder=decoder)
    assert len(track) == 25
    monkeypatch.delattr(LocalDecoder, "native_frames")
    for start_s, end_s in ((0.0, None), (1.5, 1.6)):
        with pytest.raises(MediaError, match=r"to 2 s, and at most 1 s of a clip are: give an earlier end"):
            track_clip(clip, Fraction(25), start_s, end_s, models=FaceModels(models_dir), decoder=decoder)


@pytest.mark.parametrize("name", ["09_walks_in", "09_stands_there", "three_s", "s51"])
def test_one_person_of_a_real_clip_is_followed(models_dir: Path, cases_dir: Path, name: str) -> None:
    (track,) = track_clip(cases_dir / f"{name}.mp4", models=FaceModels(models_dir))
    assert track.valid[25:].all() and track.valid.mean() > 0.9


@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, None), (0.0, 2.0), (4.5, None)])
def test_real_people_who_cross_keep_their_numbers(
    models_dir: Path, cases_dir: Path, start_s: float, end_s: float | None
) -> None:
    """Person 1 comes from the left; from 4.5 s on she or he is at the right."""
    tracks = track_clip(cases_dir / "cross_overlap.mp4", start_s=start_s, end_s=end_s, models=FaceModels(models_dir))
    assert [track.person for track in tracks] == [1, 2]
    at = [float(track.landmarks[0, 1, 0]) for track in tracks]
    assert at[0] > 320 > at[1] if start_s else at[0] < 320 < at[1]


def test_trim_rate_and_progress(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    clip = write_clip(
        tmp_path / "trim.mp4", (paste(empty_room(), heads[0], Placement(100 + 2 * i, 120)) for i in range(50))
    )
    told: list[tuple[int, int]] = []
    (track,) = track_clip(
        clip, Fraction(50), 0.4, 1.2, models=FaceModels(models_dir), progress=lambda *step: told.append(step)
    )
    assert len(track) == 40
    assert told == sorted(told) and len(told) > 30
    assert told[-1] == (40, 40) and {total for _, total in told} == {40}
    assert track.valid.all()
    assert track.landmarks[0, :, 0].mean() == pytest.approx(120, abs=6)


def test_a_clip_without_a_face_is_refused(tmp_path: Path, models_dir: Path) -> None:
    clip = write_clip(tmp_path / "empty_room.mp4", [empty_room()] * 10)
    with pytest.raises(FaceError, match=r"empty_room\.mp4.*use one where"):
        track_clip(clip, models=FaceModels(models_dir))


def test_tracking_stops_within_a_frame(tmp_path: Path, models_dir: Path, heads: Heads) -> None:
    clip = write_clip(tmp_path / "stop.mp4", [paste(empty_room(), heads[0], Placement(160, 120))] * 10)
    token, told = CancelToken(), list[int]()

    def progress(done: int, total: int) -> None:
        told.append(done)
        if done == 3:
            token.cancel()

    with pytest.raises(Cancelled):
        track_clip(clip, models=FaceModels(models_dir), progress=progress, cancel=token)
    assert told == [0, 1, 2, 3]


def test_real_people_keep_numbers(models_dir: Path, media_dir: Path) -> None:
    left, right = track_clip(media_dir / "two_person.mp4", end_s=5.2, models=FaceModels(models_dir))
    assert (left.person, right.person) == (1, 2)
    assert right.valid.all()
    assert 0.8 < left.valid.mean() < 1
    assert left.landmarks[..., 0].max() < right.landmarks[..., 0].min() + 60


def test_driver_turned_away_at_start_is_tracked(models_dir: Path, media_dir: Path) -> None:
    (track,) = track_clip(media_dir / "biden.mp4", end_s=4.0, models=FaceModels(models_dir))
    assert len(track) == 100
    assert track.valid.all()
