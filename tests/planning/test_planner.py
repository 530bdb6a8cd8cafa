"""Plans for the tiny model on this machine, and what past runs change."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fantasyportrait.core.errors import RequestError
from fantasyportrait.engines.wan_model import prepare_model
from fantasyportrait.planning import planner as planner_module
from fantasyportrait.planning.machine import Machine
from fantasyportrait.planning.meta_networks import MetaNetworks, original_configs
from fantasyportrait.planning.planner import STEP_TIME_LOG, Planner
from fantasyportrait.planning.throughput import Throughput
from fantasyportrait.planning.workload import Workload
from fantasyportrait.runtime.profiles import PROFILE_NAMES, get_profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.sampling import Sampling

JOB = Workload(96, 64, 9, faces=2, sampling=Sampling(num_inference_steps=3))
THROUGHPUT = Throughput(100, 20, 800)
Make = Callable[..., Planner]


@pytest.fixture(scope="module")
def networks() -> MetaNetworks:
    """Of the original sizes, traced once for all tests."""
    return MetaNetworks(original_configs(), torch.bfloat16)


@pytest.fixture
def make(tiny_model: Path, networks: MetaNetworks, cache_dir: Path) -> Make:
    """A planner for the tiny model on the CPU."""
    folder = prepare_model(str(tiny_model)).folder

    def made(profile: str = "auto", machine: Machine | None = None, original: bool = False) -> Planner:
        runtime_config = RuntimeConfig(device="cpu", profile=profile, precision="bfloat16" if original else "auto")
        planner = Planner(None if original else folder, None, runtime_config, cache_dir)
        if original:
            planner.__dict__.update(_networks=networks)
        if machine is not None:
            planner.__dict__.update(machine=machine, throughput=THROUGHPUT)
        return planner

    return made


def gpu(vram: float, ram: float) -> Machine:
    return Machine("0", "gpu", "A GPU", vram, ram, (8, 9), frozenset({"torchao", "bitsandbytes"}))


def test_planner_fits_tiny_model_on_this_machine(make: Make) -> None:
    planner = make()
    plan = planner.plan(JOB)
    assert plan.estimate.profile.name == "resident" and plan.job == JOB
    assert "profile resident: about" in plan.sentence and "no run measured yet" in plan.sentence
    assert tuple(each.profile.name for each in planner.table(JOB)) == PROFILE_NAMES
    assert planner.fall_back(plan) is None  # one memory: nothing needs less of it


def test_planner_plans_or_refuses_named_profile(make: Make) -> None:
    assert make("stream").plan(JOB).estimate.profile.name == "stream"
    with pytest.raises(RequestError, match="sequential needs a GPU"):
        make("sequential").plan(JOB)
    assert make().plan_with(get_profile("sequential"), JOB) is None
    found = make().plan_with(get_profile("model-offload"), JOB)
    assert found is not None and found.estimate.profile.name == "model-offload"


def test_planner_reports_full_disk_for_cast_weights(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streaming maps a copy of the transformer; where the copy exists, no disk space is needed."""
    folder = tmp_path / "model"
    for part in ("transformer", "motion_adapter", "vae", "image_encoder"):
        (folder / part).mkdir(parents=True)
        shutil.copy(prepare_model(str(tiny_model)).folder / part / "config.json", folder / part)
    planner = Planner(folder, None, RuntimeConfig(device="cpu", profile="stream"), tmp_path)
    planner.__dict__.update(throughput=THROUGHPUT)
    monkeypatch.setattr(planner_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(RequestError, match="the profile stream needs 0 GiB of the disk beside the model"):
        planner.plan(JOB)
    copy = folder / "transformer-float32"
    copy.mkdir()
    (copy / "diffusion_pytorch_model.safetensors.index.json").touch()
    planner.refresh()
    assert planner.plan(JOB).estimate.profile.name == "stream"


def test_planner_corrects_time_by_past_runs(make: Make, cache_dir: Path) -> None:
    first = make().plan(JOB)
    make().record(first, 7 * first.estimate.raw_step_s)
    assert (cache_dir / STEP_TIME_LOG).is_file()
    planner = make()
    planner.__dict__.update(
        machine=Machine("cpu", "cpu", "this computer's processor", 20, 20), throughput=make().throughput
    )
    again = planner.plan(JOB)
    assert again.estimate.step_s == pytest.approx(7 * again.estimate.raw_step_s) and again.estimate.measured
    assert "from earlier runs here" in again.sentence
    cached = replace(JOB, sampling=replace(JOB.sampling, step_cache="first-block"))
    assert not planner.plan(cached).estimate.measured


def test_planner_fall_back_gives_lower_profile(make: Make) -> None:
    planner = make(machine=gpu(78, 120), original=True)
    job = Workload(832, 480, 81)
    plan = planner.plan(job)
    lower = planner.fall_back(plan)
    assert (
        plan.estimate.profile.name == "resident"
        and lower is not None
        and lower.estimate.profile.name == "model-offload"
    )
    # What was not enough once counts as full from then on.
    assert lower.sentence.startswith("A GPU, profile model-offload: ") and " of 39.1 GiB on the GPU, " in lower.sentence


def test_planner_splits_oversized_job_into_windows(make: Make) -> None:
    job = Workload(832, 480, 201)
    planner = make(machine=gpu(9, 60), original=True)
    plan = planner.plan(job)
    assert plan.job.window_frames == 81 and "windows of 81" in plan.sentence
    with pytest.raises(RequestError, match="max_side"):
        make(machine=gpu(3, 60), original=True).plan(job)


@pytest.mark.parametrize(("seconds", "words"), [(0.01, "0.1 s"), (17.4, "17 s"), (540, "9 min"), (7500, "2 h 5 min")])
def test_planner_formats_duration(seconds: float, words: str) -> None:
    assert planner_module._duration(seconds) == words
