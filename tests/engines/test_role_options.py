"""Smoothing and fill of a single role in the preview engine."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fantasyportrait.engines.base import Scene, motion_frame_indices
from fantasyportrait.media.clips import read_clip
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.timeline import FillMode, Timeline, fill_indices
from fantasyportrait.service.animator import Animator
from tests.conftest import Inputs

FILLS: tuple[FillMode, ...] = ("loop", "hold", "pingpong")


@given(st.sampled_from(FILLS), st.none() | st.sampled_from(FILLS), st.integers(1, 30), st.integers(1, 90))
def test_clip_plays_by_its_own_fill(fill: FillMode, own: FillMode | None, length: int, frames: int) -> None:
    source = ClipSource(Path("a.mp4"), fill=own)
    request = AnimationRequest(Path("photo.png"), (Role(1, source), Role(2, BuiltinSource("nod"))), fill=fill)
    scene = Scene(np.zeros((2, 2, 3), np.uint8), (), {}, Timeline(Fraction(25), frames), request)
    rows = motion_frame_indices(source, length, scene)
    assert np.array_equal(rows, fill_indices(length, frames, own or fill))
    builtin = motion_frame_indices(BuiltinSource("nod"), length, scene)
    assert np.array_equal(builtin, fill_indices(length, frames, "loop"))


@pytest.fixture(scope="module")
def animator(models_dir: Path) -> Animator:
    return Animator(models_dir)


def test_own_options_of_a_role_give_the_pixels_of_the_same_options_of_the_request(
    animator: Animator, inputs: Inputs, tmp_path: Path
) -> None:
    part = ClipSource(inputs.talking, start_s=0.2, end_s=0.6)
    plain = AnimationRequest(inputs.photo, (Role(1, part),), duration=0.8, side_by_side=False, sound="none")
    own = replace(plain, cast=(Role(1, replace(part, fill="hold"), smoothing=1.0),))
    requests = {"plain": plain, "own": own, "request": replace(plain, fill="hold", smoothing=1.0)}
    frames = {
        name: np.stack(list(read_clip(animator.animate(request, tmp_path / f"{name}.mp4").video)))
        for name, request in requests.items()
    }
    assert np.array_equal(frames["own"], frames["request"])
    assert not np.array_equal(frames["own"], frames["plain"])
