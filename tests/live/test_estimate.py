"""Estimates of requests: frames, time, memory, and what they rest on."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.errors import RequestError
from fantasyportrait.live.estimate import estimate
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.service.animator import Animator
from tests.conftest import Inputs


@pytest.fixture
def animator(models_dir: Path, cache_dir: Path) -> Animator:
    return Animator(models_dir)


def _request(inputs: Inputs, **options: Any) -> AnimationRequest:
    cast = (Role(1, ClipSource(inputs.talking, delay_s=1.0)), Role(2, ClipSource(inputs.nodding_pair, end_s=0.6)))
    return AnimationRequest(inputs.pair, options.pop("cast", cast), **{"side_by_side": False, **options})


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        ({}, 50),
        ({"duration": "shortest"}, 15),
        ({"duration": 3}, 75),
        ({"duration": "sound"}, 50),
        ({"rate": 50}, 100),
        ({"cast": (Role(1, BuiltinSource("nod")),)}, 100),
    ],
)
def test_frames_are_those_of_the_result(animator: Animator, inputs: Inputs, options: Any, frames: int) -> None:
    assert estimate(animator, _request(inputs, **options)).frames == frames


def test_frames_follow_a_sound_file(animator: Animator, inputs: Inputs) -> None:
    request = _request(inputs, duration="sound", sound=f"file:{inputs.sound}#start=0.2")
    assert estimate(animator, request).frames == 20


def test_preview_says_what_its_time_rests_on(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    request = _request(inputs, cast=(Role(1, BuiltinSource("nod")),), duration=0.4, max_side=320)
    guess = estimate(animator, request)
    assert (guess.fits, guess.peak_gib, guess.measured) == (True, None, False)
    assert "no run measured here yet" in guess.sentence and "10 frames of 320 x 180" in guess.sentence
    assert guess.seconds is not None and guess.seconds > 0
    animator.animate(request, tmp_path / "out.mp4")
    known = estimate(animator, request)
    assert known.measured and "from earlier runs here" in known.sentence and known.seconds is not None
    longer = estimate(animator, replace(request, duration=2))
    assert longer.seconds == pytest.approx(5 * known.seconds)
    assert not estimate(animator, replace(request, side_by_side=True)).measured


def test_estimate_of_preview_loads_no_torch(inputs: Inputs, models_dir: Path) -> None:
    code = (
        "import sys; from fantasyportrait.service.animator import Animator; "
        "from fantasyportrait.live.estimate import estimate; "
        "from fantasyportrait.schema.request import AnimationRequest; "
        f"request = AnimationRequest({str(inputs.photo)!r}, ['1=motion:nod']); "
        f"print(estimate(Animator({str(models_dir)!r}), request).sentence); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "100 frames" in done.stdout


def test_face_that_the_photo_lacks_is_refused(animator: Animator, inputs: Inputs) -> None:
    with pytest.raises(RequestError, match="names face 3"):
        estimate(animator, _request(inputs, cast=(Role(3, BuiltinSource("nod")),)))


def test_estimate_of_wan_is_the_plan_of_its_run(models_dir: Path, inputs: Inputs, tiny_model: Path) -> None:
    animator = Animator(models_dir, runtime_config=RuntimeConfig(device="cpu"))
    sampling = Sampling(model=tiny_model.as_posix(), num_inference_steps=2)
    cast = (Role(1, BuiltinSource("nod")), Role(2, FreeSource()))
    request = _request(inputs, cast=cast, duration=0.2, max_side=64, engine="wan", sampling=sampling)
    found = estimate(animator, request)
    assert found.fits and not found.measured and found.frames == 5
    assert found.peak_gib is not None and 0 < found.peak_gib < 8
    assert found.seconds is not None and found.seconds > 0
    assert "profile resident" in found.sentence
    crowded = estimate(Animator(models_dir, runtime_config=RuntimeConfig(device="cpu", ram_gib=0.001)), request)
    assert not crowded.fits and crowded.seconds is None and "GiB" in crowded.sentence


def test_model_that_is_not_there_does_not_fit(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    sampling = Sampling(model=f"{tmp_path.as_posix()}/none")
    found = estimate(animator, _request(inputs, engine="wan", sampling=sampling))
    assert not found.fits and found.seconds is None and "none" in found.sentence
