"""Warnings about a track."""

from fractions import Fraction
from pathlib import Path

import pytest

from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.faces.track_report import report_track
from tests.faces.factories import turned_track

RATE = Fraction(25)


@pytest.fixture(scope="module")
def canonical(models_dir: Path) -> CanonicalFace:
    return FaceModels(models_dir).canonical_face()


def test_a_good_track_has_no_warnings(canonical: CanonicalFace) -> None:
    said = report_track(turned_track(canonical, [i % 30 for i in range(100)], lost=(50, 51, 70)), RATE)
    assert (said.frames, said.missing, said.longest_gap_s) == (100, 3, 0.08)
    assert said.warnings == ()


@pytest.mark.parametrize(
    ("yaw", "pitch", "warned"),
    [(35, 0, False), (46, 0, True), (-46, 0, True), (0, 30, False), (0, 42, True), (0, -42, True)],
)
def test_a_driver_who_looks_away(canonical: CanonicalFace, yaw: float, pitch: float, warned: bool) -> None:
    said = report_track(turned_track(canonical, [yaw] * 30 + [0] * 70, pitch=pitch), RATE)
    assert any("turned away" in text for text in said.warnings) == warned


def test_a_glance_aside_is_no_reason_to_warn(canonical: CanonicalFace) -> None:
    assert report_track(turned_track(canonical, [60] * 20 + [0] * 80), RATE).warnings == ()


def test_a_small_face(canonical: CanonicalFace) -> None:
    (warning,) = report_track(turned_track(canonical, [0] * 50, width=50), RATE).warnings
    assert "px large: use a closer clip" in warning


def test_lost_for_long_or_often(canonical: CanonicalFace) -> None:
    (long,) = report_track(turned_track(canonical, [0] * 200, lost=tuple(range(50, 80))), RATE).warnings
    assert "lost in 30 of 200 frames, at the longest for 1.2 s" in long
    (often,) = report_track(turned_track(canonical, [0] * 100, lost=tuple(range(1, 100, 4))), RATE).warnings
    assert "lost in 25 of 100 frames" in often


def test_a_late_start_and_a_short_clip(canonical: CanonicalFace) -> None:
    warnings = report_track(turned_track(canonical, [0] * 10, lost=(0,)), RATE).warnings
    assert len(warnings) == 2
    assert "the clip is short (0.40 s)" in warnings[0]
    assert "first seen after 0.04 s" in warnings[1]
