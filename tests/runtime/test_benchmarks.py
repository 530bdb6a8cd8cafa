"""The benchmarks run with a tiny model on the CPU, by the code that measures GPUs."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import overheads, wan
from benchmarks.prediction import Predictor
from benchmarks.random_model import random_transformer, tiny_configs
from fantasyportrait.planning.meta_networks import MetaNetworks
from fantasyportrait.runtime.profiles import get_profile
from fantasyportrait.testing.tiny import tiny_adapter

CPU = torch.device("cpu")
TINY = ["--tiny", "--device", "cpu", "--json", "--steps", "2"]


def rows_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict]:
    assert wan.main([*TINY, *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_benchmark_without_gpu_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert wan.main([]) == 3
    captured = capsys.readouterr()
    assert "needs a CUDA GPU" in captured.err and not captured.out


@pytest.mark.parametrize(
    ("profile", "sizes", "faces"),
    [
        *(("resident", "32x64x5", "2,1"), ("stream-disk", "32x64x9,32x64x5", "1")),
        *((name, "32x64x5", "1") for name in ("fp8", "int8", "gguf-q4")),
    ],
)
def test_benchmark_measures_every_workload(
    profile: str, sizes: str, faces: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if get_profile(profile).package is not None:
        pytest.importorskip(get_profile(profile).package)
    rows = rows_of(capsys, "--profiles", profile, "--faces", faces, "--sizes", sizes, "--folder", str(tmp_path))
    expected = [(size, int(count)) for size in sizes.split(",") for count in faces.split(",")]
    assert [(row["size"], row["faces"]) for row in rows] == expected
    for row in rows:
        assert row["profile"] == profile and row["passes"] == 2 and len(row["steps_s"]) == 2
        assert row["times_floor"] == pytest.approx(row["step_s"] / row["floor_s"])
        assert min(row["encode_s"], row["decode_s"], row["ram_gib"], row["predicted_step_s"]) > 0
        assert set(row["phases"]) == {"encode", "sample", "decode"}
    # The floor knows how much there is to do: tokens, and motion tokens.
    assert len(rows) == 1 or rows[0]["floor_s"] > rows[1]["floor_s"]
    assert not list(tmp_path.iterdir())


def test_benchmark_counts_batch_as_one_pass(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = rows_of(capsys, "--profiles", "stream", "--faces", "1", "--batch-passes")
    assert row["passes"] == 1 and row["batch_passes"]


def test_benchmark_skips_impossible_profile_with_reason(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = rows_of(capsys, "--profiles", "sequential")
    assert row == {"profile": "sequential", "skipped": "it needs a GPU with memory of its own"}
    (row,) = rows_of(capsys, "--profiles", "fp8", "--compile")
    assert "--compile does not go with the profile fp8" in row["skipped"]


@pytest.mark.slow
def test_benchmark_runs_each_profile_in_own_process(capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of(capsys, "--profiles", "sequential,resident", "--faces", "1")
    assert [row["profile"] for row in rows] == ["sequential", "resident"]
    assert "skipped" in rows[0] and rows[1]["step_s"] > 0


@pytest.mark.parametrize("name", ["resident", "gguf-q8", "gguf-q4"])
def test_random_weights_take_estimated_memory(name: str, tmp_path: Path) -> None:
    profile, configs = get_profile(name), tiny_configs()
    if profile.package is not None:
        pytest.importorskip(profile.package)
    transformer = random_transformer(configs.transformer, profile, torch.bfloat16, CPU, tmp_path)
    predictor = Predictor(configs, CPU, torch.bfloat16)
    assert sum(weight.nbytes for weight in transformer.parameters()) == predictor.model(profile).held(profile)


def test_random_weights_have_dtypes_of_loaded_ones(tmp_path: Path) -> None:
    transformer = random_transformer(
        tiny_configs().transformer, get_profile("stream-disk"), torch.bfloat16, CPU, tmp_path
    )
    found = {name: weight.dtype for name, weight in transformer.named_parameters()}
    assert found["blocks.0.attn1.to_q.weight"] == torch.bfloat16
    assert found["blocks.0.norm2.weight"] == found["blocks.0.scale_shift_table"] == torch.float32
    assert MetaNetworks(tiny_configs(), torch.bfloat16).model_size.whole == sum(
        w.nbytes for w in transformer.parameters()
    )


def test_overheads_sum_to_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overheads, "HEIGHT", 128)
    monkeypatch.setattr(overheads, "WIDTH", 192)
    adapter = tiny_adapter()
    ((job, costs),) = overheads.measured([overheads.Job(161, 2)], 1, adapter)
    assert len(job.windows) == 3
    rates = overheads.Throughput(tflops=0.1, h2d_gib_s=1.0, memory_gib_s=10.0)
    report = json.loads(overheads.report(job, costs, rates, as_json=True))
    assert all(cost["seconds"] > 0 for cost in report["costs"])
    with_all = sum(cost["shares"]["H100"] for cost in report["costs"])
    together, beside = report["totals"].values()
    assert beside["H100"] == pytest.approx(with_all) and together["H100"] < beside["H100"]


def test_overhead_shares_are_relative_to_gpu_job() -> None:
    job, rates = overheads.Job(81, 1), overheads.Throughput(0.67, 1.0, 33.5e9 / overheads.GIB)
    h100 = overheads.GPUS[0]
    assert job.floor_s(h100) == pytest.approx(30 * 2 * 1692 / 800)
    slow = [overheads.Cost("", job.floor_s(h100) / 100, where) for where in ("cpu", "memory", "arithmetic")]
    assert [overheads.shares(job, [cost], rates)["H100"] for cost in slow] == pytest.approx([0.01, 0.0001, 0.0001])
