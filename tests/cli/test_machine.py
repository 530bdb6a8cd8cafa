"""`fantasyportrait machine`: the table, its JSON, and the sentence where nothing fits."""

import json
from pathlib import Path

import pytest

from fantasyportrait.core.errors import RequestError
from fantasyportrait.planning.estimate import Estimate
from fantasyportrait.planning.machine import Machine
from fantasyportrait.planning.planner import ExecutionPlan
from fantasyportrait.planning.throughput import Throughput
from fantasyportrait.planning.workload import Workload
from fantasyportrait.runtime.profiles import PROFILE_NAMES, get_profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from tests.cli.conftest import Command

TINY_JOB = ("--size", "96x64", "--frames", "9", "--device", "cpu")


def test_machine_lists_every_profile_and_chooses_one(command: Command, tiny_model: Path) -> None:
    done = command("machine", "--model", tiny_model.as_posix(), *TINY_JOB, "--faces", "2")
    lines = done.out.splitlines()
    rows = [line for line in lines if line[2:].split(" ")[0] in PROFILE_NAMES]
    assert done.code == 0 and len(rows) == len(PROFILE_NAMES)
    assert [row.split()[1] for row in rows if row.startswith("*")] == ["resident"]
    assert any("needs a GPU with memory of its own" in row for row in rows)
    assert "profile resident: about" in done.out and "note: times are estimated" in done.out
    assert done.err == ""


def test_machine_json_estimates_depend_on_preset(
    command: Command, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both times are of one speed: what is measured on a busy machine differs from one command to the next.
    monkeypatch.setattr(
        "fantasyportrait.planning.planner.measure_throughput", lambda *_: Throughput(0.1, float("inf"), 10)
    )
    reports = [
        json.loads(command("machine", "--model", tiny_model.as_posix(), *TINY_JOB, "--preset", preset, "--json").out)
        for preset in ("draft", "faithful")
    ]
    assert [[row["profile"] for row in report["rows"]] for report in reports] == [list(PROFILE_NAMES)] * 2
    draft, faithful = (report["rows"][0] for report in reports)
    assert draft["fits"] and draft["total_s"] < faithful["total_s"]


def test_machine_estimates_missing_model_as_original(command: Command, tmp_path: Path) -> None:
    done = command("machine", "--models-dir", tmp_path, "--device", "cpu", "--frames", "17", "--size", "64x64")
    assert done.code == 0 and "note: figures are the original model's" in done.out
    assert "weights fetch wan-720p" in done.out


def test_machine_estimates_planned_window_size(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With given memory; the machine itself is not measured."""
    placements = []

    class Planner:
        machine = Machine("0", "gpu", "A GPU", 8, 60)

        def __init__(self, folder: Path | None, gguf: Path | None, runtime_config: RuntimeConfig, cache: Path) -> None:
            placements.append(runtime_config)

        def plan(self, job: Workload) -> ExecutionPlan:
            if placements[-1].vram_gib == 3:
                raise RequestError("nothing fits")
            return ExecutionPlan(self.table(job)[0], job.in_windows(), "in windows of 81")

        def table(self, job: Workload) -> tuple[Estimate, ...]:
            return (Estimate(get_profile("stream"), False, float(job.window_frames), 1, 1, 1, 1, 1),)

    monkeypatch.setattr("fantasyportrait.planning.planner.Planner", Planner)
    for gib in ("8", "3"):
        done = command("machine", "--models-dir", tmp_path, "--frames", "201", "--vram-gib", gib, "--ram-gib", "60")
        assert done.code == 0 and " 81.0 GiB" in done.out
    assert [(each.vram_gib, each.ram_gib) for each in placements] == [(8, 60), (3, 60)]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--size", "big"), "--size is 'big': give WIDTHxHEIGHT"),
        (("--size", "100x64"), "both sides must be multiples of 16"),
        (("--profile", "moon"), "profile is 'moon': choose auto or one of resident"),
        (("--vram-gib", "0"), "vram_gib is 0.0: give a number of GiB above 0"),
        (("--ram-gib", "nan"), "ram_gib is nan: give a number of GiB above 0"),
    ],
)
def test_machine_refuses_invalid_arguments(command: Command, words: tuple[str, ...], text: str) -> None:
    done = command("machine", *words)
    assert done.code != 0 and text in done.err
