"""Motion files in JSON: a round trip is exact, and nothing else than a motion is read."""

import base64
import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import MediaError, OutputError
from fantasyportrait.core.limits import PRIVATE
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.landmarks import head_pose
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.motion.from_track import motion_from_track
from fantasyportrait.motion.motion_files import is_motion_file, read_motion_file, write_motion_file
from fantasyportrait.motion.motion_json import read_motion_json
from tests.motion.factories import scored_track

RATE = Fraction(30000, 1001)
PATH = Path("a.motion.json")
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def canonical(models_dir: Path) -> CanonicalFace:
    """The mean face."""
    return FaceModels(models_dir).canonical_face()


@pytest.fixture(scope="module")
def written(canonical: CanonicalFace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A motion of five frames."""
    path = tmp_path_factory.mktemp("motion") / "a.motion.json"
    write_motion_file(path, scored_track(canonical, 5, lost=(3,)), RATE, canonical)
    return path


@pytest.mark.parametrize("rate", [Fraction(25), RATE])
@pytest.mark.parametrize("frames", [1, 2, 40])
def test_round_trip_gives_same_motion(canonical: CanonicalFace, tmp_path: Path, rate: Fraction, frames: int) -> None:
    track = scored_track(canonical, frames, seed=frames, lost=(1,) if frames > 2 else ())
    write_motion_file(tmp_path / "a.motion.json", track, rate, canonical)
    assert is_motion_file(tmp_path / "a.motion.json")
    read = read_motion_file(tmp_path / "a.motion.json").track(canonical, rate, 0.0, None, PRIVATE.track_rows)
    for name in ("landmarks", "blendshapes", "valid", "boxes"):
        np.testing.assert_array_equal(getattr(read, name), getattr(track, name))
    assert (read.person, read.size, read.mouths) == (track.person, track.size, None)
    before, after = (motion_from_track(each, canonical) for each in (track, read))
    for name in ("neutral", "neutral_blendshapes", "landmarks", "blendshapes"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_pose_and_boxes_are_those_of_landmarks(written: Path, canonical: CanonicalFace) -> None:
    data = json.loads(written.read_text())
    arrays = {
        name: np.frombuffer(base64.b64decode(data[name]["data"]), "<f4").reshape(data[name]["shape"])
        for name in ("landmarks", "pose", "boxes")
    }
    pose = [head_pose(row, canonical) for row in arrays["landmarks"]]
    np.testing.assert_allclose(arrays["pose"], pose, atol=1e-4)
    np.testing.assert_array_equal(arrays["boxes"][:, 2:], arrays["landmarks"][..., :2].max(axis=1))


def test_rows_between_samples_are_interpolated(canonical: CanonicalFace, tmp_path: Path) -> None:
    track = scored_track(canonical, 5)
    write_motion_file(tmp_path / "a.json", track, Fraction(10), canonical)
    motion = read_motion_file(tmp_path / "a.json")
    twice = motion.track(canonical, Fraction(20), 0.0, None, PRIVATE.track_rows)
    assert len(twice) == 10
    np.testing.assert_allclose(twice.landmarks[3], (track.landmarks[1] + track.landmarks[2]) / 2, atol=1e-3)
    part = motion.track(canonical, Fraction(10), 0.2, 0.4, PRIVATE.track_rows)
    np.testing.assert_array_equal(part.landmarks, track.landmarks[2:4])
    assert len(motion.track(canonical, Fraction(20), 0.0, None, 7)) == 7
    with pytest.raises(MediaError, match=r"lasts 0.50 s: a start at 0.50 s"):
        motion.track(canonical, Fraction(10), 0.5, None, PRIVATE.track_rows)


def _with(name: str, values: np.ndarray) -> Change:
    def change(data: dict[str, Any]) -> None:
        data[name]["data"] = base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()

    return change


def _set(*keys: str, value: object) -> Change:
    def change(data: dict[str, Any]) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = value

    return change


FACES = np.zeros((5, 478, 3))
CHANGES = {
    "is missing": lambda data: data.pop("landmarks"),
    "is not known": _set("script", value="x"),
    "version 2": _set("version", value=2),
    "format is not": _set("format", value="other"),
    "rate is no fraction": _set("rate", value="1/0"),
    "rate is 1000": _set("rate", value="1000"),
    "rate is no": _set("rate", value=25),
    "frames is": _set("frames", value=10**9),
    "frames is True": _set("frames", value=True),
    "size is": _set("size", value=[0, 10]),
    "size is not": _set("size", value=[1, 2, 3]),
    "person is": _set("person", value=0),
    "the 52 names": _set("blendshape_names", value=[]),
    "shape": _set("landmarks", "shape", value=[6, 478, 3]),
    "is no text": _set("pose", "data", value=5),
    "bytes, not": _set("boxes", "data", value="AAAA"),
    "not finite": _with("pose", np.full((5, 3), math.nan)),
    "no face": _with("landmarks", FACES),
    "px away": _with("landmarks", FACES + 1e9),
    "outside of 0 to 1": _with("blendshapes", np.full((5, 52), 1.5)),
    "valid is not": _set("valid", "data", value=base64.b64encode(bytes(5)).decode()),
}


@pytest.mark.parametrize("words", list(CHANGES))
def test_changed_motion_is_refused(written: Path, words: str) -> None:
    data = json.loads(written.read_text())
    CHANGES[words](data)
    with pytest.raises(MediaError, match=words):
        read_motion_json(PATH, json.dumps(data).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"format":' * 30 + b"1" + b"}" * 30,
        b'{"format": "fantasyportrait.motion", "version": NaN}',
        b'{"format": "fantasyportrait.motion", "version": 1, "x": [' + b"0," * 10_000 + b"0]}",
        b'{"format": "fantasyportrait.motion", "version": ' + b"1" * 5000 + b"}",
        b"\xff\xfe{",
    ],
)
def test_hostile_json_is_refused(data: bytes) -> None:
    with pytest.raises(MediaError, match="is no motion file that can be read"):
        read_motion_json(PATH, data)


@given(st.data())
def test_damaged_motion_is_read_or_refused(written: Path, data: st.DataObject) -> None:
    """Any change of some bytes gives a motion of finite numbers, or one error."""
    whole = bytearray(written.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(whole), data.draw(st.integers(0, len(whole)))]))
    try:
        motion = read_motion_json(PATH, bytes(whole[:cut]))
    except MediaError:
        return
    assert motion.landmarks is not None and np.isfinite(motion.landmarks).all()
    assert motion.blendshapes.min() >= 0 and motion.blendshapes.max() <= 1


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["rate", "frames", "size", "person", "valid", "landmarks", "blendshape_names"]), json_values)
def test_any_value_of_a_field_is_read_or_refused(written: Path, field: str, value: object) -> None:
    data = json.loads(written.read_text()) | {field: value}
    try:
        read_motion_json(PATH, json.dumps(data).encode())
    except MediaError as error:
        assert "a.motion.json" in str(error)


def test_large_motion_file_is_refused(written: Path) -> None:
    with pytest.raises(MediaError, match="the limit of a motion file"):
        read_motion_file(written, replace(PRIVATE, motion_file_bytes=100))
    with pytest.raises(MediaError, match="frames is 5, not a whole number from 1 to 4"):
        read_motion_file(written, replace(PRIVATE, track_rows=4))


def test_failed_write_leaves_nothing(canonical: CanonicalFace, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        write_motion_file(tmp_path / "none" / "a.json", scored_track(canonical, 2), RATE, canonical)
    assert not list(tmp_path.iterdir())
