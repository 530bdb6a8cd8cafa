"""Plans for the toy model on this machine, and what past runs change."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fantasyportrait.core.errors import RequestError
from fantasyportrait.engines.wan_model import prepare_model
from fantasyportrait.planning import fit
from fantasyportrait.planning.fit import SPEED_LOG, Fitter
from fantasyportrait.planning.footprint import Networks, published_configs
from fantasyportrait.planning.job_needs import JobSize
from fantasyportrait.planning.machine import Machine
from fantasyportrait.planning.probes import Rates
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.profiles import PROFILE_NAMES, profile_of

JOB = JobSize(96, 64, 9, steps=3, faces=2)
RATES = Rates(100, 20, 800)
Make = Callable[..., Fitter]


@pytest.fixture(scope="module")
def networks() -> Networks:
    """Of the published sizes, traced once for all tests."""
    return Networks(published_configs(), torch.bfloat16)


@pytest.fixture
def make(toy_model: Path, networks: Networks, cache_dir: Path) -> Make:
    """A fitter for the toy model on the CPU."""
    folder = prepare_model(str(toy_model)).folder

    def made(profile: str = "auto", machine: Machine | None = None, published: bool = False) -> Fitter:
        placement = Placement(device="cpu", profile=profile, precision="bfloat16" if published else "auto")
        fitter = Fitter(None if published else folder, None, placement, cache_dir)
        if published:
            fitter.__dict__.update(_networks=networks)
        if machine is not None:
            fitter.__dict__.update(machine=machine, rates=RATES)
        return fitter

    return made


def card(vram: float, ram: float) -> Machine:
    return Machine("0", "card", "A Card", vram, ram, (8, 9), frozenset({"torchao", "bitsandbytes"}))


def test_a_toy_fits_this_machine(make: Make) -> None:
    fitter = make()
    plan = fitter.plan(JOB)
    assert plan.estimate.profile.name == "resident" and plan.job == JOB and plan.longest_pass == 201
    assert "profile resident: about" in plan.sentence and "no run measured yet" in plan.sentence
    assert tuple(each.profile.name for each in fitter.table(JOB)) == PROFILE_NAMES
    assert fitter.lower(plan) is None  # one memory: nothing needs less of it


def test_a_named_profile_is_planned_or_refused(make: Make) -> None:
    assert make("stream").plan(JOB).estimate.profile.name == "stream"
    with pytest.raises(RequestError, match="sequential needs a card"):
        make("sequential").plan(JOB)
    assert make().plan_with(profile_of("sequential"), JOB) is None
    found = make().plan_with(profile_of("model-offload"), JOB)
    assert found is not None and found.estimate.profile.name == "model-offload"


def test_a_disk_without_room_for_the_copy_is_said(
    toy_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy of the transformer that streaming maps; where it has been made, no room is needed."""
    folder = tmp_path / "model"
    for part in ("transformer", "motion_adapter", "vae", "image_encoder"):
        (folder / part).mkdir(parents=True)
        shutil.copy(prepare_model(str(toy_model)).folder / part / "config.json", folder / part)
    fitter = Fitter(folder, None, Placement(device="cpu", profile="stream"), tmp_path)
    fitter.__dict__.update(rates=RATES)
    monkeypatch.setattr(fit.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(RequestError, match="the profile stream needs 0 GiB of the disk beside the model"):
        fitter.plan(JOB)
    copy = folder / "transformer-float32"
    copy.mkdir()
    (copy / "diffusion_pytorch_model.safetensors.index.json").touch()
    fitter.look_again()
    assert fitter.plan(JOB).estimate.profile.name == "stream"


def test_past_runs_on_this_machine_correct_the_time(make: Make, cache_dir: Path) -> None:
    first = make().plan(JOB)
    make().record(first, 7 * first.estimate.raw_step_s)
    assert (cache_dir / SPEED_LOG).is_file()
    fitter = make()
    fitter.__dict__.update(machine=Machine("cpu", "cpu", "this computer's processor", 20, 20), rates=make().rates)
    again = fitter.plan(JOB)
    assert again.estimate.step_s == pytest.approx(7 * again.estimate.raw_step_s) and again.estimate.measured
    assert "from earlier runs here" in again.sentence
    assert not fitter.plan(replace(JOB, cache="first-block")).estimate.measured


def test_lower_plans_and_their_words(make: Make) -> None:
    fitter = make(machine=card(78, 120), published=True)
    job = JobSize(832, 480, 81)
    plan = fitter.plan(job)
    lower = fitter.lower(plan)
    assert (
        plan.estimate.profile.name == "resident"
        and lower is not None
        and lower.estimate.profile.name == "model-offload"
    )
    # What was not enough once counts as full from then on.
    assert (
        lower.sentence.startswith("A Card, profile model-offload: ") and " of 39.1 GiB on the card, " in lower.sentence
    )


def test_what_does_not_fit_in_one_pass_goes_in_windows(make: Make) -> None:
    job = JobSize(832, 480, 201)
    fitter = make(machine=card(9, 60), published=True)
    plan = fitter.plan(job)
    assert plan.longest_pass == 81 == plan.job.longest_pass and "windows of 81" in plan.sentence
    with pytest.raises(RequestError, match="max_side"):
        make(machine=card(3, 60), published=True).plan(job)


@pytest.mark.parametrize(("seconds", "words"), [(0.01, "0.1 s"), (17.4, "17 s"), (540, "9 min"), (7500, "2 h 5 min")])
def test_durations(seconds: float, words: str) -> None:
    assert fit._duration(seconds) == words
