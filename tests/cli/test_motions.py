"""`fantasyportrait motions export`, and `animate` with the files that it writes."""

import csv
import json
from pathlib import Path

import numpy as np

from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.media.request_files import load_request
from tests.cli.conftest import Command
from tests.conftest import Inputs
from tests.motion.factories import csv_text


def test_exported_motion_drives_face_as_clip_does(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    exported = command("motions", "export", inputs.talking, "-o", tmp_path / "a.motion.json")
    assert exported.code == 0 and "a.motion.json (person 1, 25 frames at 25 a second)" in exported.out
    assert json.loads((tmp_path / "a.motion.json").read_text())["format"] == "fantasyportrait.motion"
    frames = {}
    for source in (inputs.talking, tmp_path / "a.motion.json"):
        cast = f"1={source}#strength=1.5&mirror=on&mouth=off&start=0.2&delay=0.2"
        out = tmp_path / f"{source.stem}.mp4"
        outcome = command("animate", inputs.photo, "--cast", cast, "--sound", "none", "-o", out)
        assert outcome.code == 0, outcome.err
        frames[source.suffix] = np.stack(list(read_clip(out))).astype(int)
    # All but the mouth, which a motion file has no pixels of.
    assert frames[".mp4"].shape == frames[".json"].shape
    assert np.abs(frames[".mp4"] - frames[".json"]).max() == 0
    side = probe_clip(tmp_path / "a.motion.mp4.side-by-side.mp4")
    assert side.duration_s == 1.0
    saved = load_request(tmp_path / "a.motion.mp4.request.json")
    assert saved.clips[0].sha256 is not None and saved.clips[0].path.name == "a.motion.json"
    again = command("animate", "--request", tmp_path / "a.motion.mp4.request.json", "-o", tmp_path / "again.mp4")
    assert again.code == 0 and not probe_clip(tmp_path / "again.mp4").has_sound
    assert (tmp_path / "again.mp4").read_bytes() == (tmp_path / "a.motion.mp4").read_bytes()


def test_export_of_second_person_as_curves(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    out = tmp_path / "b.csv"
    exported = command("motions", "export", inputs.nodding_pair, "-o", out, "--person", "2", "--fps", "29.97")
    assert exported.code == 0 and "person 2, 30 frames at 30 a second" in exported.out
    assert "note: timecodes count whole frames: b.csv has 30 frames a second, not 29.97" in exported.out
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30 and max(float(row["MouthSmileLeft"]) for row in rows) > 0.1
    listed = json.loads(command("faces", out, "--json").out)
    assert [person["id"] for person in listed["persons"]] == [1]


def test_curves_of_another_app_drive_a_face(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    blinks = [{"time": row / 60, "jawOpen": 0.6 * (20 <= row < 40)} for row in range(60)]
    (tmp_path / "arkit.csv").write_bytes(csv_text(blinks, ["time", "jawOpen"]))
    out = tmp_path / "out.mp4"
    outcome = command("animate", inputs.photo, "--cast", f"1={tmp_path / 'arkit.csv'}", "-o", out)
    assert outcome.code == 0, outcome.err
    assert (
        "note: arkit.csv lacks EyeBlinkLeft, EyeLookDownLeft, EyeLookInLeft, EyeLookOutLeft and 47 more" in outcome.out
    )
    frames = np.stack(list(read_clip(out))).astype(int)
    assert len(frames) == 25 and np.abs(frames[12] - frames[0]).max() > 60 > np.abs(frames[24] - frames[0]).max()


def test_motion_file_that_cannot_be_read_is_one_sentence(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"format": "fantasyportrait.motion", "version": 7}')
    (tmp_path / "bad.csv").write_text("name,age\nAnn,31\n")
    for name, words in (("bad.json", "version 7, and this program reads 1"), ("bad.csv", "none of the 52 curves")):
        outcome = command("animate", inputs.photo, "--cast", f"1={tmp_path / name}", "-o", tmp_path / "out.mp4")
        assert outcome.code == 3 and words in outcome.err.splitlines()[-1]
        assert not (tmp_path / "out.mp4").exists()


def test_export_is_refused_before_tracking(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    def refused(*words: object) -> str:
        outcome = command("motions", "export", inputs.talking, *words)
        assert outcome.code in (2, 7)
        return outcome.err.splitlines()[-1]

    assert "end it in .motion.json" in refused("-o", tmp_path / "a.txt")
    assert "does not exist" in refused("-o", tmp_path / "none" / "a.csv")
    assert "the end must come after" in refused("-o", tmp_path / "a.csv", "--start", "2", "--end", "1")
    assert not list(tmp_path.iterdir())
