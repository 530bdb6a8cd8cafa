"""Peaks and times against bytes that are counted by hand, and as properties."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from fantasyportrait.planning.estimate import TimeCorrection, estimate
from fantasyportrait.planning.machine import GIB, Machine
from fantasyportrait.planning.peak_memory import FRAGMENTATION, HOST_OVERHEAD_GIB, KERNELS_GIB, LORA_OVERHEAD
from fantasyportrait.planning.step_time import DISK_GIB_S
from fantasyportrait.planning.throughput import Throughput
from fantasyportrait.planning.workload import ActivationCosts, Cost, CostInputs, ModelSize, Workload
from fantasyportrait.runtime.profiles import PROFILES, get_profile
from fantasyportrait.schema.sampling import Sampling

G = int(GIB)
# 10 blocks of 1 GiB, 2 GiB outside; 9 GiB are in matrices. The components around take 1, 2 and 1 GiB.
MODEL = ModelSize("m", 9 * G // 2, 2, 3 * G, 10, G, 24 * G, G // 8, 1 * G, 2 * G, 1 * G)
NEED = ActivationCosts(1, Cost(3 * G, 10**13), Cost(5 * G, 2 * 10**13), *[Cost(0, 0)] * 2, *[Cost(4 * G, 0)] * 4)
THROUGHPUT = Throughput(tflops=10.0, h2d_gib_s=4.0, memory_gib_s=100.0)
GPU = Machine("0", "gpu", "A GPU", 80, 200, (9, 0))
AROUND = CostInputs(GPU, THROUGHPUT, MODEL, NEED, Workload(512, 512, 81, sampling=Sampling(batch_passes=False)))


@pytest.mark.parametrize(
    ("name", "weights", "work", "host", "load"),
    [
        ("resident", 12 + 2, 4, 2, 16),  # all but CLIP, which visits before there is any work
        ("model-offload", 12, 3, 16, 16),  # the transformer's phase; encoding has CLIP and the VAE
        ("fp8", 4.5 + 3 + 0.125, 3, 7.5 + 4, 16),
        ("nf4", 9 * 4.5 / 16 + 3 + 0.125, 3, 9 * 4.5 / 16 + 3 + 4, 2 + 4),
        ("stream", 2 + 2, 3, 24, 4 + 4 + 24),
        ("stream-disk", 2 + 2, 3, 4 + 4, 4 + 4),
        ("sequential", 0.125, 4, 16, 16),
    ],
)
def test_estimate_peak_equals_counted_bytes(name: str, weights: float, work: float, host: float, load: float) -> None:
    found = estimate(get_profile(name), AROUND)
    assert found.vram_gib == pytest.approx(weights + work * (1 + FRAGMENTATION) + KERNELS_GIB, abs=1e-6)
    assert found.ram_gib == pytest.approx(host + HOST_OVERHEAD_GIB) and found.load_gib == pytest.approx(
        load + HOST_OVERHEAD_GIB
    )


def test_estimate_includes_step_cache_and_lora_memory() -> None:
    """The step cache counts for every pass of every window, the LoRA where its layers are."""
    kept = replace(AROUND, activations=replace(NEED, windows=3, cached=G // 4))
    lora = replace(AROUND, job=replace(AROUND.job, lora_bytes=5 * G))
    for name, share in (("model-offload", 1.0), ("stream", 2 / 10)):
        plain, cached, added = (estimate(get_profile(name), each) for each in (AROUND, kept, lora))
        assert cached.vram_gib - plain.vram_gib == pytest.approx(2 * 3 / 4 * (1 + FRAGMENTATION))
        assert added.vram_gib - plain.vram_gib == pytest.approx(5 * share + LORA_OVERHEAD * 3 * (1 + FRAGMENTATION))
        assert added.ram_gib - plain.ram_gib == pytest.approx(5)


def test_estimate_adds_lora_overhead_memory() -> None:
    lora = replace(AROUND, job=replace(AROUND.job, lora_bytes=1))
    for batch, peak in ((False, 3), (True, 5)):
        plain, added = (
            estimate(
                get_profile("stream"), replace(each, job=replace(each.job, sampling=Sampling(batch_passes=batch)))
            ).vram_gib
            for each in (AROUND, lora)
        )
        assert added - plain == pytest.approx(LORA_OVERHEAD * peak * (1 + FRAGMENTATION), abs=1e-6)


def test_estimate_suggestions_name_memory_costs() -> None:
    """The suggestions name each option that raises the peak, and no other."""
    small = replace(AROUND, machine=replace(GPU, vram_gib=6))

    def suggestions(around: CostInputs, name: str = "stream") -> tuple[str, ...]:
        return estimate(get_profile(name), around).suggestions

    model = "a smaller model (gguf-q4)"
    assert suggestions(AROUND) == ()
    assert suggestions(small) == ("a smaller size (max_side)", "fewer frames (duration)", model)
    assert suggestions(small, "resident") == (model,)  # its weights alone are too much
    cached = replace(small, activations=replace(NEED, windows=3, cached=G))
    assert suggestions(cached) == ("a smaller size (max_side)", "no step cache (step_cache)", model)
    batched = replace(small, job=replace(small.job, sampling=Sampling(batch_passes=True), lora_bytes=G))
    assert {"no LoRA (lora)", "passes one by one (batch_passes)"} < set(suggestions(batched))
    poor = replace(AROUND, machine=replace(GPU, ram_gib=8))
    assert suggestions(poor) == (model,)
    assert suggestions(replace(poor, model_size=replace(MODEL, gguf=9 * G))) == ()


def test_estimate_shared_memory_holds_all_weights() -> None:
    shared = replace(AROUND, machine=Machine("mps", "mps", "one", 60, 60))
    peaks = {estimate(get_profile(name), shared).vram_gib for name in ("resident", "model-offload", "stream")}
    assert peaks == {16 + 4 * (1 + FRAGMENTATION) + HOST_OVERHEAD_GIB}


def test_estimate_time_is_work_over_throughput() -> None:
    """A pass is 1 s of arithmetic, 1.6 s at the assumed efficiency; the transformer crosses the link in 3 or 6 s."""
    steps = {name: estimate(get_profile(name), AROUND).step_s for name in ("resident", "stream", "sequential")}
    assert steps["resident"] == pytest.approx(2 * 1.6)
    assert steps["stream"] == pytest.approx(2 * 3 + 2 * (3 / 10 + 2))
    assert steps["sequential"] == pytest.approx(2 * 1.6 + 2 * 6)
    batched = replace(AROUND, job=replace(AROUND.job, sampling=Sampling(batch_passes=True)))
    assert estimate(get_profile("stream"), batched).step_s == pytest.approx(3.2 + 0.3 + 2)
    assert estimate(get_profile("stream"), batched).vram_gib > estimate(get_profile("stream"), AROUND).vram_gib
    windows = replace(AROUND, activations=replace(NEED, windows=3))
    assert estimate(get_profile("resident"), windows).step_s == pytest.approx(3 * steps["resident"])


def test_estimate_mapped_weights_read_from_disk() -> None:
    poor = replace(AROUND, machine=replace(GPU, ram_gib=16))
    rich, short = (estimate(get_profile("stream-disk"), each).step_s for each in (AROUND, poor))
    assert short - rich == pytest.approx(2 * (12 / DISK_GIB_S - 12 / 2.0))


def test_estimate_past_runs_correct_only_time() -> None:
    plain = estimate(get_profile("resident"), AROUND)
    found = estimate(get_profile("resident"), AROUND, correction=TimeCorrection(1.5, measured=True))
    assert found.step_s == pytest.approx(1.5 * plain.step_s) and found.raw_step_s == plain.step_s
    assert found.vram_gib == plain.vram_gib and found.measured and not plain.measured


def test_estimate_tiles_large_frames() -> None:
    tiled = replace(NEED, decode=Cost(40 * G, 0), decode_tiled=Cost(6 * G, 0))
    for vram, peak in ((80, 1 + 40 * (1 + FRAGMENTATION)), (20, 1 + 6 * (1 + FRAGMENTATION))):
        found = estimate(
            get_profile("model-offload"), replace(AROUND, machine=replace(GPU, vram_gib=vram), activations=tiled)
        )
        assert found.vram_gib == pytest.approx(max(peak, 12 + 3 * (1 + FRAGMENTATION)) + KERNELS_GIB)
        assert found.tiled_decode is (vram == 20) and not found.tiled_encode


def test_estimate_peak_includes_clip_that_fits() -> None:
    """CLIP (16 GiB of weights, 6 of work) is the peak; where it does not fit, the next phase is."""
    needs = replace(NEED, image=Cost(6 * G, 0))
    for vram, peak in ((80, 16 + 6 * (1 + FRAGMENTATION)), (20, 14 + 4 * (1 + FRAGMENTATION))):
        around = replace(AROUND, machine=replace(GPU, vram_gib=vram), activations=needs)
        found = estimate(get_profile("resident"), around)
        assert found.vram_gib == pytest.approx(peak + KERNELS_GIB) and found.fits


def test_estimate_reports_missing_memory() -> None:
    poor = replace(AROUND, machine=replace(GPU, vram_gib=10, ram_gib=8))
    found = estimate(get_profile("resident"), poor)
    assert found.possible and not found.fits
    assert "on the GPU, 10.0 are free" in found.reason and "of memory, 8.0 are free" in found.reason
    assert not estimate(get_profile("resident"), AROUND, unsupported_reason="is not for you").possible


@given(
    peaks=st.tuples(*[st.integers(0, 60)] * 4),
    flop=st.integers(1, 10**15),
    more=st.tuples(*[st.integers(0, 20)] * 4),
    name=st.sampled_from([each.name for each in PROFILES]),
    batch=st.booleans(),
)
def test_estimate_grows_with_workload(
    peaks: tuple[int, ...], flop: int, more: tuple[int, ...], name: str, batch: bool
) -> None:
    machine, job = replace(GPU, vram_gib=500), replace(AROUND.job, sampling=Sampling(batch_passes=batch))
    found = []
    for extra in ((0, 0, 0, 0), more):
        forward, batched, encode, decode = (
            Cost((peak + each) * G, flop * (1 + each)) for peak, each in zip(peaks, extra, strict=True)
        )
        needs = replace(NEED, forward=forward, batched=batched, encode=encode, decode=decode)
        found.append(estimate(get_profile(name), replace(AROUND, machine=machine, activations=needs, job=job)))
    small, large = found
    assert large.vram_gib >= small.vram_gib and large.step_s >= small.step_s and large.total_s >= small.total_s
