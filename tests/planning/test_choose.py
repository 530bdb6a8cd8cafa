"""The profile for a machine and a job, at the published sizes: 30 machines, what is said, and what must always hold."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from fantasyportrait.core.errors import RequestError
from fantasyportrait.planning.choose import LOWER, WORTH_QUANTIZING, choose, estimates, lower, obstacle
from fantasyportrait.planning.estimate import Estimate
from fantasyportrait.planning.job_needs import JobSize, Surroundings
from fantasyportrait.planning.machine import Machine
from fantasyportrait.planning.probes import Rates
from fantasyportrait.runtime.profiles import PROFILES, profile_of
from tests.runtime import published

PACKAGES = frozenset({"torchao", "bitsandbytes", "gguf"})
SMALL, USUAL, LARGE = JobSize(512, 512, 81), JobSize(832, 480, 81), JobSize(1280, 720, 81)
LONG = JobSize(832, 480, 201)
# Large products, TFLOP/s, by the first number of the compute capability; none: a card without one, or the CPU.
TFLOPS = {12: 200.0, 9: 600.0, 8: 120.0, 7: 50.0}

Around = Callable[[Machine, JobSize], Surroundings]


@pytest.fixture(scope="session")
def around() -> Around:
    """A job of the published model on a machine with a usual link (20 GiB/s) and disk."""
    record = json.loads(published.RECORD.read_text(encoding="utf-8"))

    def make(machine: Machine, job: JobSize) -> Surroundings:
        precision = "float32" if machine.kind == "cpu" else "bfloat16"
        rate = TFLOPS.get((machine.capability or (0, 0))[0], 0.5 if machine.kind == "cpu" else 20.0)
        link = float("inf") if machine.one_memory else 20.0
        model, needs = published.footprint(record, precision), published.activations(record, precision, job)
        return Surroundings(machine, Rates(rate, link, 800.0), model, needs, job)

    return make


@pytest.mark.parametrize(
    "sizes",
    [{"bfloat16": published.SIZES["bfloat16"][:1]}, pytest.param(published.SIZES, marks=pytest.mark.slow)],
    ids=["one", "all"],
)
def test_the_recorded_needs_are_those_of_today(sizes: dict[str, tuple[tuple[int, ...], ...]]) -> None:
    record, today = json.loads(published.RECORD.read_text(encoding="utf-8")), published.traced(sizes)
    for precision, rows in today.items():
        assert record[precision]["footprint"] == rows.pop("footprint")
        for size, needs in rows.items():
            for name, need in needs.items():
                # Another version of torch may round a little otherwise.
                assert record[precision][size][name] == pytest.approx(need, rel=0.01), "see tests/runtime/published.py"


def card(vram: float, ram: float, capability: tuple[int, int] = (8, 9), packages: frozenset[str] = PACKAGES) -> Machine:
    return Machine("0", "card", "A Card", vram, ram, capability, packages)


def shared(kind: str, memory: float) -> Machine:
    return Machine(kind, kind, "this computer", memory, memory, None, PACKAGES)


MACHINES = [
    (card(139, 200, (9, 0)), LARGE, "resident"),
    (card(78, 120, (9, 0)), USUAL, "resident"),
    (card(78, 120, (9, 0)), LARGE, "resident"),
    (card(78, 120, (8, 0)), LONG, "resident"),
    (card(78, 30, (8, 0)), USUAL, "nf4"),  # no room in memory to load it whole
    (card(47, 120), USUAL, "resident"),
    (card(47, 60, (8, 6)), USUAL, "resident"),
    (card(47, 60), LARGE, "resident"),
    (card(39, 100, (8, 0)), USUAL, "resident"),  # CLIP stays on the host
    (card(37, 60, (8, 0)), USUAL, "model-offload"),
    (card(31, 120, (12, 0)), USUAL, "stream"),
    (card(31, 30, (12, 0)), USUAL, "nf4"),
    (card(23, 120), USUAL, "stream"),
    (card(23, 60), USUAL, "stream-disk"),
    (card(23, 60, (8, 6)), LONG, "stream-disk"),
    (card(23, 30), USUAL, "nf4"),
    (card(23, 30, packages=frozenset()), USUAL, "stream-disk"),
    (card(23, 30, (7, 5)), SMALL, "nf4"),
    (card(23, 120), LARGE, "stream"),
    (card(15.4, 100), USUAL, "stream"),
    (card(15.4, 30, (7, 5)), USUAL, "nf4"),
    (card(15.4, 14), USUAL, "stream-disk"),
    (card(11.2, 120, (8, 6)), USUAL, "stream"),
    (card(11.2, 60, (8, 6)), USUAL, "stream-disk"),
    (card(11.2, 30, (8, 6)), SMALL, "stream-disk"),
    (card(7.2, 60, (8, 6)), SMALL, "stream-disk"),
    (card(7.2, 14, (7, 5)), SMALL, "stream-disk"),
    (shared("mps", 120), USUAL, "resident"),
    (shared("mps", 28), SMALL, "int8"),
    (shared("cpu", 120), SMALL, "resident"),
    (shared("cpu", 60), SMALL, "int8"),
]


@pytest.mark.parametrize(("machine", "job", "name"), MACHINES)
def test_each_machine_gets_its_profile(around: Around, machine: Machine, job: JobSize, name: str) -> None:
    chosen = choose(estimates(around(machine, job)))
    assert chosen.profile.name == name
    assert chosen.vram_gib <= machine.vram_gib and max(chosen.ram_gib, chosen.load_gib) <= machine.ram_gib


@pytest.mark.parametrize(
    ("machine", "wanted", "words"),
    [
        (card(3.4, 60, (7, 5)), "auto", "no profile fits .* needs .* GiB on the card, 3.4 are free.*try .*max_side"),
        (card(3.4, 60, (7, 5)), "stream-disk", "stream-disk needs .*no profile fits .*fewer frames.*name more memory"),
        (card(23, 4), "auto", r"of memory, 4.0 are free\): try a smaller model \(gguf-q4\)$"),
        (card(23, 120), "resident", "resident needs .* on the card, 23.0 are free: use stream"),
        (card(23, 60), "stream", "stream needs .* of memory, 60.0 are free: use stream-disk.*name more memory"),
        (card(23, 60, (7, 5)), "fp8", "needs compute capability 8.0, and A Card has 7.5: use stream-disk.* or auto$"),
        (card(23, 60, packages=frozenset()), "int8", r"needs the package torchao.*fantasyportrait\[int8\]"),
        (card(23, 60), "gguf-q4", "is for a GGUF model"),
        (shared("mps", 120), "nf4", "needs a card with memory of its own"),
        (shared("mps", 120), "fp8", "float8"),
        (shared("cpu", 30), "resident", "of memory, 30.0 are free"),
    ],
)
def test_what_cannot_be_is_refused_in_words(around: Around, machine: Machine, wanted: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        choose(estimates(around(machine, USUAL)), wanted)


def test_a_wanted_profile_that_fits_is_taken(around: Around) -> None:
    assert choose(estimates(around(card(78, 120, (9, 0)), USUAL)), "sequential").profile.name == "sequential"


def test_memory_that_is_named_is_tried(around: Around) -> None:
    """What was refused for want of memory is taken where the user says that it is there, and less is kept to."""
    found = card(23, 57)
    assert choose(estimates(around(found.with_memory(None, 62), USUAL)), "stream").profile.name == "stream"
    kept = choose(estimates(around(found.with_memory(9, None), USUAL)))
    assert kept.profile.name == "stream-disk" and kept.vram_gib <= 9


def test_a_full_disk_is_said(around: Around) -> None:
    """Both that make a copy of the transformer need room for it, unless memory is what they lack."""
    full = replace(card(11, 40), disk_gib=20)
    found = {each.profile.name: each for each in estimates(around(full, SMALL))}
    assert found["stream-disk"].short_disk and "32 GiB of the disk" in found["stream-disk"].why
    assert not found["stream"].short_disk and "of memory, 40.0 are free" in found["stream"].why
    with pytest.raises(
        RequestError, match="stream-disk needs 32 GiB of the disk .* 20 are free: use sequential.*auto$"
    ):
        choose(tuple(found.values()), "stream-disk")
    with pytest.raises(RequestError, match="no profile fits .*stream-disk needs 32 GiB of the disk"):
        choose(estimates(around(replace(full, ram_gib=20), SMALL)))


def test_what_is_compiled_gets_profiles_that_can_be(around: Around) -> None:
    """At first, and when memory runs out."""
    surroundings = around(card(23, 60), USUAL)
    found = estimates(surroundings, compiled=True)
    names = {each.profile.name for each in found if each.possible}
    assert names == {"resident", "model-offload", "int8", "stream", "stream-disk"}
    with pytest.raises(RequestError, match="the profile nf4 does not go with --compile, since its layers are unpacked"):
        choose(found, "nf4")
    gguf = replace(surroundings, footprint=replace(surroundings.footprint, gguf=12 * 2**30))
    with pytest.raises(RequestError, match="no profile is possible .* does not go with --compile"):
        choose(estimates(gguf, compiled=True))


def test_fp8_is_for_cards_that_compute_in_bfloat16(around: Around) -> None:
    assert choose(estimates(around(card(23, 60, (8, 0)), USUAL)), "fp8").fits


def test_a_gguf_model_has_its_own_profiles(around: Around) -> None:
    surroundings = around(card(23, 30), USUAL)
    model = replace(surroundings.footprint, gguf=12 * 2**30)
    possible = {each.name for each in PROFILES if not obstacle(each, surroundings.machine, model)}
    assert possible == {"resident", "gguf-q4", "stream"}
    assert replace(model, gguf=20 * 2**30).gguf_profile == "gguf-q8"
    found = {each.profile.name: each for each in estimates(replace(surroundings, footprint=model))}
    assert 12 < found["gguf-q4"].vram_gib < 17 and found["gguf-q4"].fits


def test_lower_needs_clearly_less(around: Around) -> None:
    """From the largest down: each with less memory than the last, until nothing is lower."""
    found = estimates(around(card(78, 120, (9, 0)), USUAL))
    current: Estimate | None = choose(found)
    seen = []
    while current is not None:
        seen.append(current)
        current = lower(found, current)
    assert [each.profile.name for each in seen] == ["resident", "model-offload", "stream", "stream-disk"]
    # The last one takes as much of the card, and clearly less of the host's memory.
    assert all(b.vram_gib <= LOWER * a.vram_gib for a, b in pairwise(seen[:-1]))
    assert seen[-1].vram_gib <= seen[-2].vram_gib and seen[-1].ram_gib < LOWER * seen[-2].ram_gib


def test_exact_weights_win_unless_others_are_much_faster(around: Around) -> None:
    found = estimates(around(card(23, 60), USUAL))
    exact = next(each for each in found if each.profile.name == "stream-disk")
    quantized = next(each for each in found if each.profile.name == "nf4")
    for share, name in ((0.99 * WORTH_QUANTIZING, "stream-disk"), (1.01 * WORTH_QUANTIZING, "nf4")):
        pair = (quantized, replace(exact, total_s=share * quantized.total_s))
        assert choose(pair).profile == profile_of(name)


@settings(max_examples=40)
@given(vram=st.floats(7, 90), ram=st.floats(16, 130), more=st.floats(0, 60), where=st.sampled_from(["vram", "ram"]))
def test_more_memory_never_makes_a_job_slower(around: Around, vram: float, ram: float, more: float, where: str) -> None:
    """But for the little that exact weights may cost."""
    small = card(vram, ram)
    large = card(vram + more, ram) if where == "vram" else card(vram, ram + more)
    before, after = (choose(estimates(around(each, SMALL))) for each in (small, large))
    assert after.total_s <= WORTH_QUANTIZING * before.total_s + 1e-9


def test_passes_are_batched_where_the_link_is_the_limit(around: Around) -> None:
    machine, small = card(11.2, 120, (9, 0)), JobSize(256, 256, 81)
    streamed = {each.profile.name: each for each in estimates(around(machine, small))}
    assert streamed["stream"].batch_passes and not streamed["nf4"].batch_passes
    apart = {each.profile.name: each for each in estimates(around(machine, replace(small, batch_passes=False)))}
    assert streamed["stream"].step_s < apart["stream"].step_s
    assert streamed["stream"].vram_gib >= apart["stream"].vram_gib
    compute_bound = {each.profile.name: each for each in estimates(around(card(11.2, 120, (7, 5)), USUAL))}
    assert not compute_bound["stream"].batch_passes
