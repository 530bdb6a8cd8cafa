"""A field that is added to the schema is a flag, and every flag overrides its field of a saved request."""

import json
import re
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.cli import display
from fantasyportrait.cli.animate import EPILOG
from fantasyportrait.cli.reference import reference
from fantasyportrait.media.request_files import load_request
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema import request as request_module, sampling as sampling_module
from fantasyportrait.schema.cast import ClipSource, Role, parse_role
from fantasyportrait.schema.options import options_of
from fantasyportrait.schema.regions import Regions
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling
from tests.cli.conftest import Command
from tests.cli.test_animate_flags import SAMPLING, RunRecorder, saved_request
from tests.extended import extended_request, extended_sampling


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> RunRecorder:
    """Record requests instead of running them."""
    recorded = RunRecorder()
    monkeypatch.setattr(display, "animate_with_progress", recorded.run)
    return recorded


@pytest.fixture
def _extended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace request and sampling by subclasses with one more field."""
    sampling = extended_sampling()
    monkeypatch.setattr(request_module, "AnimationRequest", extended_request(sampling))
    for module in (request_module, sampling_module):
        monkeypatch.setattr(module, "Sampling", sampling)


@pytest.mark.usefixtures("_extended")
def test_new_field_becomes_flag_and_json_key(command: Command, recorded: RunRecorder) -> None:
    help_text = " ".join(command("animate", "--help").out.split())
    assert "--glow <float> How much the faces glow. [default: 0.25]" in help_text
    assert "--grain none|film [wan] Kind of grain. [default: none]" in help_text
    assert "| `glow` | `--glow` | a number from 0 to 1 | 0.25 |" in reference() and "| Grain |" in reference()
    words = ("animate", "p.png", "--cast", "1=motion:nod", "--engine", "wan")
    assert command(*words, "--glow", "0.5", "--grain", "film").code == 0
    text = recorded.requests[0].to_json()
    assert json.loads(text)["glow"] == 0.5 and json.loads(text)["sampling"]["grain"] == "film"
    assert request_module.from_json(text) == recorded.requests[0]
    assert command(*words, "--glow", "2").err == "error: glow is 2.0: give a number from 0 to 1\n"
    assert command(*words, "--grain", "flim").err.startswith("error: grain is 'flim' (did you mean film?)")


# What a flag gives for a field of the saved request, which has another value.
OVERRIDES: dict[str, tuple[tuple[str, ...], Any]] = {
    "engine": (("--engine", "preview"), "preview"),
    "duration": (("--duration", "2.5"), 2.5),
    "rate": (("--fps", "29.97"), Fraction(30000, 1001)),
    "fill": (("--fill", "hold"), "hold"),
    "absolute": (("--relative",), False),
    "smoothing": (("--smoothing", "0"), 0.0),
    "sound": (("--sound", "none"), "none"),
    "max_side": (("--max-side", "320"), 320),
    "side_by_side": (("--side-by-side",), True),
    "detector": (("--detector", "original"), "original"),
    "model": (("--model", "wan-720p"), "wan-720p"),
    "seed": (("--seed", "0"), 0),
    "num_inference_steps": (("--num-inference-steps", "9"), 9),
    "portrait_guidance_scale": (("--portrait-guidance-scale", "0"), 0.0),
    "guidance_scale": (("--guidance-scale", "1"), 1.0),
    "portrait_guidance_start": (("--portrait-guidance-span", "0:0.6"), 0.0),
    "portrait_guidance_end": (("--portrait-guidance-span", "0.1:0.9"), 0.9),
    "prompt": (("--prompt", ""), ""),
    "negative_prompt": (("--negative-prompt", ""), ""),
    "face_mask": (("--face-mask", "box"), "box"),
    "alignment": (("--alignment", "original"), "original"),
    "lora": (("--lora", "none"), "none"),
    "step_cache": (("--step-cache", "none"), "none"),
    "cache_threshold": (("--cache-threshold", "0.1"), 0.1),
    "batch_passes": (("--separate-passes",), False),
    "max_window_frames": (("--max-window-frames", "5"), 5),
}


@pytest.mark.parametrize("name", OVERRIDES)
def test_flag_overrides_one_saved_request_field(
    command: Command, recorded: RunRecorder, tmp_path: Path, name: str
) -> None:
    path = saved_request(
        tmp_path, duration=1.5, rate=24, fill="pingpong", absolute=True, smoothing=0.25, sound="mix", max_side=640,
        side_by_side=False, detector="insightface", portrait_sha256="0" * 64,
    )  # fmt: skip
    words, value = OVERRIDES[name]
    done = command("animate", "--request", path, *words)
    assert done.code == 0, done.err
    before, after = load_request(path), recorded.requests[0]
    if name in vars(SAMPLING):
        assert getattr(SAMPLING, name) != value
        assert after == replace(before, sampling=replace(before.sampling, **{name: value}))
    else:
        assert getattr(before, name) != value
        assert after == replace(before, **{name: value})


def test_override_cases_cover_every_flag() -> None:
    flags = {option.name for owner in (AnimationRequest, Sampling) for option in options_of(owner) if option.flag != ""}
    assert flags == set(OVERRIDES) - {"portrait_guidance_start", "portrait_guidance_end"}
    others = {each.name for owner in (AnimationRequest, Sampling) for each in fields(owner)} - set(OVERRIDES)
    assert others == {"portrait", "cast", "sampling", "portrait_sha256", "face_edits"}


def test_photo_and_cast_override_saved_request(command: Command, recorded: RunRecorder, tmp_path: Path) -> None:
    path = saved_request(tmp_path, portrait_sha256="0" * 64)
    assert command("animate", "--request", path, "--cast", "1=motion:smile", "--cast", "2=still").code == 0
    assert command("animate", "other.png", "--request", path).code == 0
    before, (recast, other) = load_request(path), recorded.requests
    assert recast == replace(before, cast=(parse_role("1=motion:smile"), parse_role("2=still")))
    assert other == replace(before, portrait=Path("other.png"), portrait_sha256=None)


def test_cast_help_names_every_role_key(command: Command) -> None:
    keys = EPILOG[EPILOG.index("keys ") : EPILOG.index("A face that")]
    for owner in (Role, ClipSource, Regions):
        for option in options_of(owner):
            assert option.flag == "" or re.search(rf"\b{option.key}\b", keys), option.key
    assert keys.splitlines()[0] in command("animate", "--help").out


def test_reference_page_is_up_to_date(repository: Path) -> None:
    page = (repository / "docs" / "reference.md").read_text(encoding="utf-8")
    assert page == reference(), "run  make docs"
    for owner in (AnimationRequest, Sampling, RuntimeConfig, Role, ClipSource, Regions):
        for option in options_of(owner):
            assert f"| `{option.name}` |" in page and option.doc.replace("|", r"\|") in page
