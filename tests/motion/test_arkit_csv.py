"""ARKit curves in CSV: Live Link Face's columns, any order, missing ones, and times of every kind."""

import csv
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PRIVATE
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.landmarks import head_pose
from fantasyportrait.faces.mesh import LID_PAIRS, CanonicalFace
from fantasyportrait.motion.arkit_csv import CURVES, HEADER, csv_rate, has_curves, read_arkit_csv
from fantasyportrait.motion.blendshapes import BLENDSHAPE_NAMES
from fantasyportrait.motion.csv_times import read_times, timecode
from fantasyportrait.motion.motion_files import is_motion_file, read_motion_file, write_motion_file
from fantasyportrait.motion.posed_face import CLOSED_SCORE
from fantasyportrait.schema.face import Track
from tests.motion.factories import csv_text, scored_track

PATH = Path("a.csv")
ROWS = PRIVATE.track_rows
JAW, BLINK = BLENDSHAPE_NAMES.index("jawOpen"), BLENDSHAPE_NAMES.index("eyeBlinkLeft")


@pytest.fixture(scope="module")
def canonical(models_dir: Path) -> CanonicalFace:
    """The mean face."""
    return FaceModels(models_dir).canonical_face()


def track_of(data: bytes, canonical: CanonicalFace, rate: Fraction = Fraction(25)) -> Track:
    """The whole file at a rate."""
    return read_arkit_csv(PATH, data).track(canonical, rate, 0.0, None, ROWS)


def test_header_is_that_of_live_link_face(canonical: CanonicalFace, tmp_path: Path) -> None:
    write_motion_file(tmp_path / "a.csv", scored_track(canonical, 60), Fraction(25), canonical)
    with (tmp_path / "a.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"] and header[53] == "TongueOut"
    assert header[54:] == [
        *("HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll"),
        *("RightEyeYaw", "RightEyePitch", "RightEyeRoll"),
    ]
    assert len(set(CURVES)) == 52 and {name.lower() for name in CURVES} - {"tongueout"} == {
        name.lower() for name in BLENDSHAPE_NAMES[1:]
    }
    assert len(rows) == 60 and {len(row) for row in rows} == {63} and {row[1] for row in rows} == {"61"}
    assert [rows[row][0] for row in (0, 24, 25)] == ["00:00:00:00.000", "00:00:00:24.000", "00:00:01:00.000"]


def test_round_trip_gives_same_curves_and_pose(canonical: CanonicalFace, tmp_path: Path) -> None:
    track = scored_track(canonical, 60)
    write_motion_file(tmp_path / "a.csv", track, Fraction(25), canonical)
    motion = read_motion_file(tmp_path / "a.csv")
    assert (motion.rate, motion.length_s, motion.messages) == (25, Fraction(60, 25), ())
    expected = track.blendshapes.copy()
    expected[:, BLINK] = np.minimum(expected[:, BLINK] / CLOSED_SCORE, 1)
    columns = [JAW, BLINK, BLENDSHAPE_NAMES.index("mouthSmileRight"), BLENDSHAPE_NAMES.index("jawLeft")]
    np.testing.assert_allclose(motion.blendshapes[:, columns], expected[:, columns], atol=1e-6)
    read = motion.track(canonical, Fraction(25), 0.0, None, ROWS)
    for row in (0, 17, 59):
        ours, theirs = (head_pose(each.landmarks[row], canonical) for each in (track, read))
        np.testing.assert_allclose(ours, theirs, atol=3.0)


def test_angles_have_the_signs_of_live_link_face(canonical: CanonicalFace) -> None:
    turned = track_of(csv_text([{"HeadYaw": 0.3, "HeadPitch": 0.2, "HeadRoll": 0.1}]), canonical)
    pose = head_pose(turned.landmarks[0], canonical)
    np.testing.assert_allclose(pose, -np.degrees([0.2, 0.3, 0.1]), atol=0.1)
    nose = turned.landmarks[0, 1] - turned.landmarks[0, [234, 454]].mean(axis=0)
    assert nose[0] > 0, "positive yaw turns to the person's left, the picture's right"
    degrees = read_arkit_csv(PATH, csv_text([{"HeadYaw": 17.0}]))
    assert degrees.pose is not None and degrees.pose[0].tolist() == [0, -17, 0]
    assert "read as degrees" in degrees.messages[0]


def test_curves_move_the_face(canonical: CanonicalFace) -> None:
    acted = [{}, {"EyeBlinkLeft": 1, "EyeBlinkRight": 1}, {"JawOpen": 1}]
    rows = [{"Timecode": timecode(row, Fraction(60)), **curves} for row, curves in enumerate(acted)]
    rest, blink, jaw = track_of(csv_text(rows), canonical, Fraction(60)).landmarks
    lids = [
        np.linalg.norm(points[LID_PAIRS[:, 0]] - points[LID_PAIRS[:, 1]], axis=1).mean() for points in (rest, blink)
    ]
    assert lids[1] < 0.2 * lids[0]
    assert jaw[152, 1] > rest[152, 1] + 10
    closed = track_of(csv_text([{"JawOpen": 0.6, "MouthClose": 0.6}]), canonical).landmarks[0]
    np.testing.assert_allclose(closed, rest, atol=1e-3)


def test_columns_have_any_order_case_and_delimiter(canonical: CanonicalFace) -> None:
    columns = ["headyaw", "jawopen", "TIMECODE", "somethingElse", "eyeBlinkLeft"]
    row = {"headyaw": 0.1, "jawopen": 0.5, "TIMECODE": "01:02:03:04", "somethingElse": "x", "eyeBlinkLeft": 0.25}
    for delimiter in (",", ";", "\t"):
        motion = read_arkit_csv(PATH, csv_text([row], columns).replace(b",", delimiter.encode()))
        assert motion.blendshapes[0, [JAW, BLINK]].tolist() == [0.5, 0.25]
    assert any("lacks EyeLookDownLeft, EyeLookInLeft, EyeLookOutLeft" in text for text in motion.messages)
    assert any("lacks HeadPitch, HeadRoll" in text for text in motion.messages)


@pytest.mark.parametrize("rate", [24, 25, 30, 60])
def test_rate_follows_from_timecodes(rate: int) -> None:
    rows = [{"Timecode": timecode(row, Fraction(rate)), "JawOpen": row / 1000} for row in range(2 * rate)]
    motion = read_arkit_csv(PATH, csv_text(rows))
    assert motion.rate == rate and motion.length_s == 2
    assert motion.times_s[-1] == pytest.approx(2 - 1 / rate)


def test_sixty_a_second_becomes_the_rate_of_the_video(canonical: CanonicalFace) -> None:
    rows = [{"Timecode": f"10:00:{row // 60:02}:{row % 60:02}.250", "JawOpen": row / 120} for row in range(120)]
    track = track_of(csv_text(rows), canonical)
    assert len(track) == 50 and track.valid.all()
    np.testing.assert_allclose(track.blendshapes[:, JAW], np.arange(50) / 50, atol=1e-5)


def test_times_may_be_seconds_irregular_or_missing() -> None:
    seconds = [{"Time": text, "JawOpen": 0.1} for text in ("5.0", "5.1", "5.1", "5.35", "6.0")]
    motion = read_arkit_csv(PATH, csv_text(seconds, ["Time", "JawOpen"]))
    np.testing.assert_allclose(motion.times_s, [0, 0.1, 0.35, 1.0])
    assert any("1 rows have the time of the row above" in text for text in motion.messages)
    assert motion.rate == 5, "the standard rate nearest to three rows a second"
    without = read_arkit_csv(PATH, csv_text([{"JawOpen": 0.1}] * 30, ["JawOpen"]))
    assert without.length_s == Fraction(1, 2) and any("read as 60 a second" in text for text in without.messages)


def test_recording_over_midnight_goes_on() -> None:
    times = read_times(["23:59:59:58", "23:59:59:59", "00:00:00:00", "00:00:00:01"], 4)
    np.testing.assert_allclose(times.times_s, np.arange(4) / 60)


@pytest.mark.parametrize(
    "words, data",
    [
        ("no row", csv_text([])),
        ("names none", b"a,b,c\n1,2,3\n"),
        ("is empty|names none", b""),
        ("row 1 has 2 values", b"Timecode,JawOpen,EyeBlinkLeft\n1,2\n"),
        ("no number", b"JawOpen\nwide\n"),
        ("not finite", b"JawOpen\nnan\n"),
        ("goes from 0 to 87", b"JawOpen\n0\n87\n"),
        ("before that", b"Time,JawOpen\n2,0\n1,0\n"),
        ("time of row 1", b"Time,JawOpen\nsoon,0\n"),
        ("twice", b"JawOpen,jawopen\n0,0\n"),
        ("half turn", b"JawOpen,HeadYaw\n0,500\n"),
        ("counts frame 999", b"Timecode,JawOpen\n00:00:00:999,0\n00:00:01:00,0\n"),
        ("seconds|at most", b"Time,JawOpen\n0,0\n99999,0\n"),
        ("columns", b",".join([b"JawOpen"] * 600) + b"\n"),
        ("can't decode", b"JawOpen\n\xff\xfe\n"),
    ],
)
def test_file_that_is_no_curves_is_refused(words: str, data: bytes) -> None:
    with pytest.raises(MediaError, match=words):
        read_arkit_csv(PATH, data)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for text in (data, b"Timecode,JawOpen,HeadYaw\n" + data):
        try:
            motion = read_arkit_csv(PATH, text)
        except MediaError:
            continue
        assert np.isfinite(motion.blendshapes).all() and motion.length_s > 0


cells = (
    st.floats().map(str) | st.text(max_size=6) | st.from_regex(r"[0-9]{2}:[0-9]{2}:[0-9]{2}:[0-9]{2}", fullmatch=True)
)


@given(st.lists(st.lists(cells, min_size=4, max_size=4), max_size=5))
@settings(max_examples=200)
def test_any_cells_are_read_or_refused(rows: list[list[str]]) -> None:
    text = "\n".join([",".join(["Timecode", "JawOpen", "HeadYaw", "EyeBlinkLeft"]), *map(",".join, rows)])
    try:
        motion = read_arkit_csv(PATH, text.encode("utf-8", "surrogatepass"))
    except MediaError:
        return
    assert (np.diff(motion.times_s) > 0).all() and motion.blendshapes.min() >= 0 and motion.blendshapes.max() <= 1


@given(st.fractions(1, 240))
def test_csv_rate_is_whole_and_near(rate: Fraction) -> None:
    assert csv_rate(rate).denominator == 1 and abs(csv_rate(rate) - rate) <= 60


def test_kind_of_file_follows_from_its_content(tmp_path: Path, canonical: CanonicalFace) -> None:
    curves, motion, video, text = (tmp_path / name for name in ("a.txt", "b.bin", "c.csv", "d.txt"))
    curves.write_bytes(csv_text([{}]))
    write_motion_file(tmp_path / "a.json", scored_track(canonical, 2), Fraction(25), canonical)
    (tmp_path / "a.json").rename(motion)
    video.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    text.write_text("notes\n")
    assert [is_motion_file(path) for path in (curves, motion, video, text, tmp_path / "missing.csv")] == [
        *(True, True, False, False, False)
    ]
    assert has_curves(",".join(HEADER)) and not has_curves("name,age")
