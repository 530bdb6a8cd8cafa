"""Warnings before a run: about a face of a photo, and about a face and its driver."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fantasyportrait.core.geometry import bounding_box, rotation_matrix
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.faces.photo_report import driver_warnings, framing_factor, photo_warnings
from fantasyportrait.images.images import even_size
from fantasyportrait.schema.face import Face, HeadPose
from tests.faces.factories import turned_track

RATE = Fraction(25)
SIZE = (640, 480)


@pytest.fixture(scope="module")
def canonical(models_dir: Path) -> CanonicalFace:
    return FaceModels(models_dir).canonical_face()


def made_face(
    canonical: CanonicalFace,
    width: float = 150.0,
    middle: tuple[float, float] = (320, 240),
    yaw: float = 0,
    pitch: float = 0,
) -> Face:
    """The canonical face, `width` px wide, in a picture of `SIZE`."""
    scale = width / float(np.ptp(canonical.points[:, 0]))
    points = canonical.points @ rotation_matrix(pitch, yaw, 0).T * scale
    points = (points - points.mean(axis=0) + np.array([*middle, 0])).astype(np.float32)
    return Face(1, bounding_box(points), points, np.zeros(52, np.float32), HeadPose(pitch, yaw, 0), 1.0)


def warnings_of(*faces: Face, max_side: int | None = None) -> dict[int, tuple[str, ...]]:
    pixels = np.random.default_rng(1).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    # Lips redder than the skin.
    pixels[..., 1:] //= 2
    for face in faces:
        left, top, right, bottom = np.clip(face.landmarks[[61, 0, 291, 17], [0, 1, 0, 1]], 0, 480).astype(int)
        pixels[top:bottom, left:right, 0] = 255
    return photo_warnings(pixels, faces, lambda side: even_size(*SIZE, side or 640), max_side)


def test_good_face_has_no_warning(canonical: CanonicalFace) -> None:
    assert warnings_of(made_face(canonical)) == {1: ()}


@pytest.mark.parametrize(("yaw", "pitch", "words"), [
    (30, 0, ""),
    (60, 0, "turned 60 degrees to the side"),
    (-60, 0, "turned 60 degrees to the side"),
    (0, 40, "turned 40 degrees down"),
    (0, -40, "turned 40 degrees up"),
])  # fmt: skip
def test_turned_face_is_reported(canonical: CanonicalFace, yaw: float, pitch: float, words: str) -> None:
    found = " ".join(warnings_of(made_face(canonical, yaw=yaw, pitch=pitch))[1])
    assert words in found and ("turned" in found) == bool(words)


def test_cut_face_is_reported_with_the_borders(canonical: CanonicalFace) -> None:
    (warning,) = warnings_of(made_face(canonical, middle=(320, 60)))[1]
    assert "cut by the top of the photo" in warning
    (warning,) = warnings_of(made_face(canonical, middle=(600, 430)))[1]
    assert "cut by the right and the bottom of the photo" in warning


def test_small_face_is_reported_for_the_size_of_the_video_alone(canonical: CanonicalFace) -> None:
    face = made_face(canonical, width=60)
    assert warnings_of(face) == {1: ()}
    (warning,) = warnings_of(face, max_side=320)[1]
    assert "px large in the video (320 x 240)" in warning


def test_warnings_have_the_numbers_of_their_faces(canonical: CanonicalFace) -> None:
    turned = replace(made_face(canonical, middle=(150, 240), yaw=60), id=4)
    found = warnings_of(turned, replace(made_face(canonical, middle=(480, 240)), id=7))
    assert len(found[4]) == 1 and found[7] == ()


def test_framing_factor_is_measured_against_the_pictures(canonical: CanonicalFace) -> None:
    face, track = made_face(canonical), turned_track(canonical, [0] * 50, width=150)
    assert framing_factor(face, SIZE, track) == pytest.approx(1, abs=0.01)
    assert framing_factor(face, (1280, 960), track) == pytest.approx(2, abs=0.01)
    assert framing_factor(made_face(canonical, 300), SIZE, track) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("width", "words"), [(150, ""), (255, "1.7 times larger"), (75, "2.0 times smaller")])
def test_clip_of_another_scale_is_reported_for_absolute_motion(
    canonical: CanonicalFace, width: float, words: str
) -> None:
    face, track = made_face(canonical), turned_track(canonical, [0] * 50, width=width)
    found = " ".join(driver_warnings(face, SIZE, track, RATE, absolute=True))
    assert words in found and ("absolute motion" in found) == bool(words)
    assert "absolute motion" not in " ".join(driver_warnings(face, SIZE, track, RATE, absolute=False))


def test_short_clip_and_turned_driver_are_reported(canonical: CanonicalFace) -> None:
    found = driver_warnings(made_face(canonical), SIZE, turned_track(canonical, [60] * 10), RATE, absolute=False)
    assert any("the clip is short" in text for text in found) and any("turned away" in text for text in found)


def test_track_without_a_visible_face_has_no_scale(canonical: CanonicalFace) -> None:
    track = turned_track(canonical, [0] * 20, lost=tuple(range(20)))
    assert not any("times" in text for text in driver_warnings(made_face(canonical), SIZE, track, RATE, absolute=True))
