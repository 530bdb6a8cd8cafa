"""The landmark network measures the played motion in the result; a rendered clip drives another face."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.faces.clip_tracking import track_clip
from fantasyportrait.motion.blendshapes import blendshape_indices
from fantasyportrait.motion.from_track import motion_from_track
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face import Track
from tests.faces.scenes import SIZE as CLIP_SIZE, write_clip
from tests.preview.scene import FrameLandmarks, Scene, angles_of, correlation, gap, gaze

PITCH, YAW = 0, 1
COUNT = 72
ROWS = np.arange(0, COUNT, 2)


@pytest.fixture(scope="module")
def seen(scene: Scene) -> dict[str, list[FrameLandmarks]]:
    """Measurements in every second frame of renders of both faces, by motion."""
    found = {}
    for name in ("shake", "nod", "surprise", "yawn", "blink", "smile", "look_around"):
        driven = [DrivenFace(face, scene.motion(name, COUNT), rows=ROWS) for face in scene.faces]
        frames = scene.frames(driven, len(ROWS))
        found[name] = [FrameLandmarks.of(frames, face, scene.canonical) for face in scene.faces]
    return found


@pytest.mark.parametrize("name, axis", [("shake", YAW), ("nod", PITCH), ("look_around", YAW)])
def test_heads_turn_as_played(name: str, axis: int, seen: dict[str, list[FrameLandmarks]], scene: Scene) -> None:
    for reading in seen[name]:
        played = angles_of(scene.motion(name, COUNT).landmarks[ROWS], scene.canonical)[:, axis]
        measured = reading.angles[:, axis]
        assert correlation(measured, played) > 0.95
        assert 0.5 < np.ptp(measured) / np.ptp(played) < 1.6


@pytest.mark.parametrize("name", ["surprise", "yawn"])
def test_mouths_open_as_played(name: str, seen: dict[str, list[FrameLandmarks]], scene: Scene) -> None:
    for reading in seen[name]:
        played = gap(scene.motion(name, COUNT).landmarks[ROWS])
        assert correlation(gap(reading.points), played) > 0.9


def test_eyes_blink_as_played(seen: dict[str, list[FrameLandmarks]], scene: Scene) -> None:
    lids = list(blendshape_indices("eyeBlink"))
    for reading in seen["blink"]:
        measured = reading.scores[:, lids].mean(axis=1)
        played = scene.motion("blink", COUNT).blendshapes[ROWS][:, lids].mean(axis=1)
        assert correlation(measured, played) > 0.85
        assert measured.max() > np.median(measured) + 0.1


def test_a_smile_comes_and_goes_as_played(seen: dict[str, list[FrameLandmarks]], scene: Scene) -> None:
    corners = list(blendshape_indices("mouthSmile"))
    for reading in seen["smile"]:
        measured = reading.scores[:, corners].mean(axis=1)
        played = scene.motion("smile", COUNT).blendshapes[ROWS][:, corners].mean(axis=1)
        assert correlation(measured, played) > 0.85


def test_irises_look_where_played(seen: dict[str, list[FrameLandmarks]], scene: Scene) -> None:
    for reading in seen["look_around"]:
        played = gaze(scene.motion("look_around", COUNT).landmarks[ROWS], scene.canonical)
        assert correlation(gaze(reading.points, scene.canonical), played) > 0.85


@pytest.fixture(scope="module")
def driver(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Track:
    """A tracked clip of the second person, rendered with a yawn and a turn."""
    width, height = CLIP_SIZE
    yawn, shake = scene.motion("yawn", 60), scene.motion("shake", 60)
    face = scene.faces[1]
    x, y = np.maximum(face.landmarks[4, :2].astype(int) - [width // 2, height // 2], 0)
    frames: list[NDArray[np.uint8]] = [
        np.ascontiguousarray(frame[y : y + height, x : x + width])
        for motion in (yawn, shake)
        for frame in scene.frames([DrivenFace(face, motion)], 60)
    ]
    frames = [
        cv2.copyMakeBorder(f, 0, height - f.shape[0], 0, width - f.shape[1], cv2.BORDER_REPLICATE) for f in frames
    ]
    tracks = track_clip(write_clip(Path(tmp_path_factory.mktemp("clip")) / "driver.mp4", frames))
    return max(tracks, key=lambda track: float(np.ptp(track.landmarks[:, :, 0])))


@pytest.mark.parametrize("mirror, absolute", [(False, False), (True, False), (False, True)])
def test_a_filmed_face_drives_another(mirror: bool, absolute: bool, driver: Track, scene: Scene) -> None:
    face = scene.faces[0]
    motion = motion_from_track(driver, scene.canonical, mirror=mirror, reference=face if absolute else None)
    assert motion.mouths is not None and len(motion) == 120
    frames = scene.frames([DrivenFace(face, motion, absolute=absolute)], 120)
    reading = FrameLandmarks.of(frames, face, scene.canonical)
    played = angles_of(driver.landmarks, scene.canonical)[:, YAW] * (-1 if mirror else 1)
    assert correlation(reading.angles[:, YAW], played) > 0.9
    assert correlation(gap(reading.points)[:60], gap(driver.landmarks)[:60]) > 0.85


def test_the_driver_s_mouth_is_pasted(driver: Track, scene: Scene) -> None:
    motion = motion_from_track(driver, scene.canonical)
    face = scene.faces[0]
    widest = gap(motion.landmarks).argmax(keepdims=True)
    assert motion.mouths is not None
    green = replace(motion, mouths=np.where(np.arange(3) == 1, np.uint8(255), motion.mouths // 4))
    plain, coloured, drawn = (
        scene.frames([DrivenFace(face, each, rows=widest)], 1)[0].astype(int)
        for each in (motion, green, replace(motion, mouths=None))
    )
    changed = np.argwhere(np.abs(coloured - plain).sum(axis=2) > 30)
    assert len(changed) > 20, "the mouth's inside is the driver's"
    low, high = changed[:, ::-1].min(axis=0), changed[:, ::-1].max(axis=0)
    assert (low > face.box[:2]).all() and (high < face.box[2:] + 0.2 * np.ptp(face.landmarks[:, 1])).all()
    assert (drawn != plain).any()
