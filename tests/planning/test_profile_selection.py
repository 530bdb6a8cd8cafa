"""Profile selection at the original sizes: 30 machines, messages, and properties."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from fantasyportrait.core.errors import RequestError
from fantasyportrait.planning.estimate import Estimate
from fantasyportrait.planning.machine import Machine
from fantasyportrait.planning.profile_selection import (
    FALLBACK_SHARE,
    MIN_QUANTIZED_SPEEDUP,
    estimate_profiles,
    fall_back,
    select_profile,
    unsupported_reason,
)
from fantasyportrait.planning.throughput import Throughput
from fantasyportrait.planning.workload import CostInputs, Workload
from fantasyportrait.runtime.profiles import PROFILES, get_profile
from fantasyportrait.schema.sampling import Sampling
from tests.runtime import original

PACKAGES = frozenset({"torchao", "bitsandbytes", "gguf"})
SMALL, USUAL, LARGE = Workload(512, 512, 81), Workload(832, 480, 81), Workload(1280, 720, 81)
LONG = Workload(832, 480, 201)
# Large products, TFLOP/s, by the first number of the compute capability; none: a GPU without one, or the CPU.
TFLOPS = {12: 200.0, 9: 600.0, 8: 120.0, 7: 50.0}

Around = Callable[[Machine, Workload], CostInputs]


@pytest.fixture(scope="session")
def around() -> Around:
    """A job of the original model on a machine with a usual link (20 GiB/s) and disk."""
    record = json.loads(original.RECORD.read_text(encoding="utf-8"))

    def make(machine: Machine, job: Workload) -> CostInputs:
        precision = "float32" if machine.kind == "cpu" else "bfloat16"
        rate = TFLOPS.get((machine.capability or (0, 0))[0], 0.5 if machine.kind == "cpu" else 20.0)
        link = float("inf") if machine.unified_memory else 20.0
        model, needs = original.model_size(record, precision), original.activations(record, precision, job)
        return CostInputs(machine, Throughput(rate, link, 800.0), model, needs, job)

    return make


@pytest.mark.parametrize(
    "sizes",
    [{"bfloat16": original.SIZES["bfloat16"][:1]}, pytest.param(original.SIZES, marks=pytest.mark.slow)],
    ids=["one", "all"],
)
def test_recorded_sizes_equal_traced_sizes(sizes: dict[str, tuple[tuple[int, ...], ...]]) -> None:
    record, today = json.loads(original.RECORD.read_text(encoding="utf-8")), original.traced(sizes)
    for precision, rows in today.items():
        assert record[precision]["model_size"] == rows.pop("model_size")
        for size, needs in rows.items():
            for name, need in needs.items():
                # Another version of torch may round a little otherwise.
                assert record[precision][size][name] == pytest.approx(need, rel=0.01), "see tests/runtime/original.py"


def gpu(vram: float, ram: float, capability: tuple[int, int] = (8, 9), packages: frozenset[str] = PACKAGES) -> Machine:
    return Machine("0", "gpu", "A GPU", vram, ram, capability, packages)


def shared(kind: str, memory: float) -> Machine:
    return Machine(kind, kind, "this computer", memory, memory, None, PACKAGES)


MACHINES = [
    (gpu(139, 200, (9, 0)), LARGE, "resident"),
    (gpu(78, 120, (9, 0)), USUAL, "resident"),
    (gpu(78, 120, (9, 0)), LARGE, "resident"),
    (gpu(78, 120, (8, 0)), LONG, "resident"),
    (gpu(78, 30, (8, 0)), USUAL, "nf4"),  # no room in memory to load it whole
    (gpu(47, 120), USUAL, "resident"),
    (gpu(47, 60, (8, 6)), USUAL, "resident"),
    (gpu(47, 60), LARGE, "resident"),
    (gpu(39, 100, (8, 0)), USUAL, "resident"),  # CLIP stays on the host
    (gpu(37, 60, (8, 0)), USUAL, "model-offload"),
    (gpu(31, 120, (12, 0)), USUAL, "stream"),
    (gpu(31, 30, (12, 0)), USUAL, "nf4"),
    (gpu(23, 120), USUAL, "stream"),
    (gpu(23, 60), USUAL, "stream-disk"),
    (gpu(23, 60, (8, 6)), LONG, "stream-disk"),
    (gpu(23, 30), USUAL, "nf4"),
    (gpu(23, 30, packages=frozenset()), USUAL, "stream-disk"),
    (gpu(23, 30, (7, 5)), SMALL, "nf4"),
    (gpu(23, 120), LARGE, "stream"),
    (gpu(15.4, 100), USUAL, "stream"),
    (gpu(15.4, 30, (7, 5)), USUAL, "nf4"),
    (gpu(15.4, 14), USUAL, "stream-disk"),
    (gpu(11.2, 120, (8, 6)), USUAL, "stream"),
    (gpu(11.2, 60, (8, 6)), USUAL, "stream-disk"),
    (gpu(11.2, 30, (8, 6)), SMALL, "stream-disk"),
    (gpu(7.2, 60, (8, 6)), SMALL, "stream-disk"),
    (gpu(7.2, 14, (7, 5)), SMALL, "stream-disk"),
    (shared("mps", 120), USUAL, "resident"),
    (shared("mps", 28), SMALL, "int8"),
    (shared("cpu", 120), SMALL, "resident"),
    (shared("cpu", 60), SMALL, "int8"),
]


@pytest.mark.parametrize(("machine", "job", "name"), MACHINES)
def test_select_profile_for_each_machine(around: Around, machine: Machine, job: Workload, name: str) -> None:
    chosen = select_profile(estimate_profiles(around(machine, job)))
    assert chosen.profile.name == name
    assert chosen.vram_gib <= machine.vram_gib and max(chosen.ram_gib, chosen.load_gib) <= machine.ram_gib


@pytest.mark.parametrize(
    ("machine", "wanted", "words"),
    [
        (gpu(3.4, 60, (7, 5)), "auto", "no profile fits .* needs .* GiB on the GPU, 3.4 are free.*try .*max_side"),
        (gpu(3.4, 60, (7, 5)), "stream-disk", "stream-disk needs .*no profile fits .*fewer frames.*name more memory"),
        (gpu(23, 4), "auto", r"of memory, 4.0 are free\): try a smaller model \(gguf-q4\)$"),
        (gpu(23, 120), "resident", "resident needs .* on the GPU, 23.0 are free: use stream"),
        (gpu(23, 60), "stream", "stream needs .* of memory, 60.0 are free: use stream-disk.*name more memory"),
        (gpu(23, 60, (7, 5)), "fp8", "needs compute capability 8.0, and A GPU has 7.5: use stream-disk.* or auto$"),
        (gpu(23, 60, packages=frozenset()), "int8", r"needs the package torchao.*fantasyportrait\[int8\]"),
        (gpu(23, 60), "gguf-q4", "is for a GGUF model"),
        (shared("mps", 120), "nf4", "needs a GPU with memory of its own"),
        (shared("mps", 120), "fp8", "float8"),
        (shared("cpu", 30), "resident", "of memory, 30.0 are free"),
    ],
)
def test_select_profile_reports_impossible_job(around: Around, machine: Machine, wanted: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        select_profile(estimate_profiles(around(machine, USUAL)), wanted)


def test_select_profile_takes_requested_profile_that_fits(around: Around) -> None:
    assert (
        select_profile(estimate_profiles(around(gpu(78, 120, (9, 0)), USUAL)), "sequential").profile.name
        == "sequential"
    )


def test_select_profile_trusts_given_memory(around: Around) -> None:
    """A profile refused for lack of memory is selected with more given memory; a smaller given amount is respected."""
    found = gpu(23, 57)
    assert (
        select_profile(estimate_profiles(around(found.with_memory(None, 62), USUAL)), "stream").profile.name == "stream"
    )
    kept = select_profile(estimate_profiles(around(found.with_memory(9, None), USUAL)))
    assert kept.profile.name == "stream-disk" and kept.vram_gib <= 9


def test_select_profile_reports_full_disk(around: Around) -> None:
    """Both profiles that copy the transformer need disk space; too little memory is reported first."""
    full = replace(gpu(11, 40), disk_gib=20)
    found = {each.profile.name: each for each in estimate_profiles(around(full, SMALL))}
    assert found["stream-disk"].lacks_disk and "32 GiB of the disk" in found["stream-disk"].reason
    assert not found["stream"].lacks_disk and "of memory, 40.0 are free" in found["stream"].reason
    with pytest.raises(
        RequestError, match="stream-disk needs 32 GiB of the disk .* 20 are free: use sequential.*auto$"
    ):
        select_profile(tuple(found.values()), "stream-disk")
    with pytest.raises(RequestError, match="no profile fits .*stream-disk needs 32 GiB of the disk"):
        select_profile(estimate_profiles(around(replace(full, ram_gib=20), SMALL)))


def test_select_profile_compile_uses_compilable_profiles(around: Around) -> None:
    """At the first selection and when falling back."""
    cost_inputs = around(gpu(23, 60), USUAL)
    found = estimate_profiles(cost_inputs, compiled=True)
    names = {each.profile.name for each in found if each.possible}
    assert names == {"resident", "model-offload", "int8", "stream", "stream-disk"}
    with pytest.raises(RequestError, match="the profile nf4 does not go with --compile, since its layers are unpacked"):
        select_profile(found, "nf4")
    gguf = replace(cost_inputs, model_size=replace(cost_inputs.model_size, gguf=12 * 2**30))
    with pytest.raises(RequestError, match="no profile is possible .* does not go with --compile"):
        select_profile(estimate_profiles(gguf, compiled=True))


def test_select_profile_fp8_requires_bfloat16(around: Around) -> None:
    assert select_profile(estimate_profiles(around(gpu(23, 60, (8, 0)), USUAL)), "fp8").fits


def test_select_profile_gguf_model_uses_gguf_profiles(around: Around) -> None:
    cost_inputs = around(gpu(23, 30), USUAL)
    model = replace(cost_inputs.model_size, gguf=12 * 2**30)
    possible = {each.name for each in PROFILES if not unsupported_reason(each, cost_inputs.machine, model)}
    assert possible == {"resident", "gguf-q4", "stream"}
    assert replace(model, gguf=20 * 2**30).gguf_profile == "gguf-q8"
    found = {each.profile.name: each for each in estimate_profiles(replace(cost_inputs, model_size=model))}
    assert 12 < found["gguf-q4"].vram_gib < 17 and found["gguf-q4"].fits


def test_lower_profile_takes_clearly_less_memory(around: Around) -> None:
    """Falling back step by step takes less memory each time, until no lower profile is left."""
    found = estimate_profiles(around(gpu(78, 120, (9, 0)), USUAL))
    current: Estimate | None = select_profile(found)
    seen = []
    while current is not None:
        seen.append(current)
        current = fall_back(found, current)
    assert [each.profile.name for each in seen] == ["resident", "model-offload", "stream", "stream-disk"]
    # The last one takes as much of the GPU, and clearly less of the host's memory.
    assert all(b.vram_gib <= FALLBACK_SHARE * a.vram_gib for a, b in pairwise(seen[:-1]))
    assert seen[-1].vram_gib <= seen[-2].vram_gib and seen[-1].ram_gib < FALLBACK_SHARE * seen[-2].ram_gib


def test_select_profile_prefers_exact_weights(around: Around) -> None:
    found = estimate_profiles(around(gpu(23, 60), USUAL))
    exact = next(each for each in found if each.profile.name == "stream-disk")
    quantized = next(each for each in found if each.profile.name == "nf4")
    for share, name in ((0.99 * MIN_QUANTIZED_SPEEDUP, "stream-disk"), (1.01 * MIN_QUANTIZED_SPEEDUP, "nf4")):
        pair = (quantized, replace(exact, total_s=share * quantized.total_s))
        assert select_profile(pair).profile == get_profile(name)


@settings(max_examples=40)
@given(vram=st.floats(7, 90), ram=st.floats(16, 130), more=st.floats(0, 60), where=st.sampled_from(["vram", "ram"]))
def test_more_memory_never_slows_chosen_profile(
    around: Around, vram: float, ram: float, more: float, where: str
) -> None:
    """Except for the small cost that exact weights may have."""
    small = gpu(vram, ram)
    large = gpu(vram + more, ram) if where == "vram" else gpu(vram, ram + more)
    before, after = (select_profile(estimate_profiles(around(each, SMALL))) for each in (small, large))
    assert after.total_s <= MIN_QUANTIZED_SPEEDUP * before.total_s + 1e-9


def test_plan_batches_passes_when_link_bound(around: Around) -> None:
    machine, small = gpu(11.2, 120, (9, 0)), Workload(256, 256, 81)
    streamed = {each.profile.name: each for each in estimate_profiles(around(machine, small))}
    assert streamed["stream"].batch_passes and not streamed["nf4"].batch_passes
    separate = replace(small, sampling=Sampling(batch_passes=False))
    apart = {each.profile.name: each for each in estimate_profiles(around(machine, separate))}
    assert streamed["stream"].step_s < apart["stream"].step_s
    assert streamed["stream"].vram_gib >= apart["stream"].vram_gib
    compute_bound = {each.profile.name: each for each in estimate_profiles(around(gpu(11.2, 120, (7, 5)), USUAL))}
    assert not compute_bound["stream"].batch_passes
