"""The profile for a job: the fastest that fits, exact weights first; and one lower, when memory runs out after all."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from fantasyportrait.core.errors import RequestError
from fantasyportrait.planning.estimate import Estimate, Factor, estimate
from fantasyportrait.planning.job_needs import Footprint, Surroundings
from fantasyportrait.planning.machine import GIB, Machine
from fantasyportrait.runtime.compute import not_compiled
from fantasyportrait.runtime.profiles import PROFILES, Profile, profile_of

# Quantized weights change the video a little: they have to be so many times faster.
WORTH_QUANTIZING = 1.25
# One lower takes at most this share of the memory that was not enough.
LOWER = 0.9


def obstacle(profile: Profile, machine: Machine, model: Footprint, compiled: bool = False) -> str:
    """Why the profile is not possible with this machine and model, whatever the job; empty where it is.

    `compiled`: the transformer's blocks shall be.
    """
    own = model.gguf_profile
    if compiled and (why := not_compiled(profile, gguf=own is not None)):
        return f"does not go with --compile, since {why}"
    if own is None and profile.weights == "gguf":
        return f"is for a GGUF model, such as {profile.name} of the catalog"
    if own is not None and profile.name != own:
        if profile.weights == "gguf":
            return f"is for another quantization: this model's profile is {own}"
        if not profile.exact:
            return "quantizes a whole model, and this one is a GGUF file"
        if profile.offload in ("model", "disk", "sequential"):
            return f"is for a whole model: a GGUF file has {own}, stream and resident"
    if profile.card and machine.one_memory:
        return "needs a card with memory of its own"
    if profile.weights == "fp8" and machine.kind == "mps":
        return "needs float8 numbers, which mps does not have"
    if machine.capability is not None and machine.capability < profile.capability:
        need, has = (".".join(map(str, each)) for each in (profile.capability, machine.capability))
        return f"needs compute capability {need}, and {machine.name} has {has}"
    if profile.package is not None and profile.package not in machine.packages:
        return f'needs the package {profile.package}: run  pip install "fantasyportrait[{profile.extra}]"'
    return ""


def estimates(
    around: Surroundings, factor: Callable[[Profile], Factor] | None = None, compiled: bool = False
) -> tuple[Estimate, ...]:
    """One for each profile, in the table's order; `factor` gives what past runs say of a profile."""
    found = []
    for profile in PROFILES:
        why = obstacle(profile, around.machine, around.footprint, compiled)
        each = estimate(profile, around, why, Factor() if factor is None else factor(profile))
        lack = _lacks_disk(profile, around.machine, around.footprint)
        found.append(replace(each, fits=False, why=lack, short_disk=True) if each.fits and lack else each)
    return tuple(found)


def _lacks_disk(profile: Profile, machine: Machine, model: Footprint) -> str:
    """What a profile that is read from a copy of the transformer lacks for it, in words; empty where nothing."""
    need = model.whole / GIB
    if profile.offload not in ("stream", "disk") or model.gguf is not None or need <= machine.disk_gib:
        return ""
    return (
        f"needs {need:.0f} GiB of the disk beside the model for a copy of the transformer, and {machine.disk_gib:.0f} "
        "are free"
    )


def choose(found: Sequence[Estimate], wanted: str = "auto") -> Estimate:
    """The estimate of the profile to use: the one that is wanted, or the fastest that fits.

    One that computes with exact weights wins unless a quantized one is more than `WORTH_QUANTIZING` times faster.
    Raises `RequestError` that says what is missing and what would do.
    """
    best = _fastest(each for each in found if each.fits and not _saves_nothing(each, found))
    if wanted != "auto":
        profile = profile_of(wanted)
        (given,) = (each for each in found if each.profile == profile)
        if given.fits:
            return given
        instead = f"use {best.profile.name}, which fits, or auto" if best is not None else _nothing_fits(found)
        if given.possible and not given.short_disk:
            instead += "; to try it all the same, name more memory (vram_gib, ram_gib)"
        raise RequestError(f"the profile {wanted} {given.why}: {instead}")
    if best is None:
        raise RequestError(_nothing_fits(found))
    return best


def lower(found: Sequence[Estimate], current: Estimate) -> Estimate | None:
    """The same choice among those that need clearly less of the device's memory, or no more of it and clearly less of
    the host's; None where there are none."""
    host = LOWER * max(current.ram_gib, current.load_gib)
    return _fastest(
        each
        for each in found
        if each.fits
        and each.profile != current.profile
        and (
            each.vram_gib <= LOWER * current.vram_gib
            or (each.vram_gib <= current.vram_gib and max(each.ram_gib, each.load_gib) <= host)
        )
    )


def _saves_nothing(one: Estimate, found: Iterable[Estimate]) -> bool:
    """Whether it moves weights about, and the same weights fit without (as they do where there is one memory)."""
    return one.profile.offload != "none" and any(
        each.fits
        and each.profile.offload == "none"
        and each.profile.weights == one.profile.weights
        and each.vram_gib <= one.vram_gib
        for each in found
    )


def _fastest(candidates: Iterable[Estimate]) -> Estimate | None:
    """The fastest, exact weights first; of equals the first of the table."""
    ordered = sorted(candidates, key=lambda each: each.total_s)
    exact = next((each for each in ordered if each.profile.exact), None)
    if exact is not None and exact.total_s <= WORTH_QUANTIZING * ordered[0].total_s:
        return exact
    return ordered[0] if ordered else None


def _nothing_fits(found: Sequence[Estimate]) -> str:
    """The closest profiles and what to change."""
    possible = [each for each in found if each.possible]
    if not possible:
        reasons = "; ".join(dict.fromkeys(each.why for each in found))
        return f"no profile is possible with this model on this machine ({reasons})"
    least_vram = min(possible, key=lambda each: each.vram_gib)
    least_ram = min(possible, key=lambda each: (max(each.ram_gib, each.load_gib), each.vram_gib))
    closest = dict.fromkeys((*(each for each in possible if each.short_disk), least_vram, least_ram))
    reasons = "; ".join(f"{each.profile.name} {each.why}" for each in closest)
    levers = dict.fromkeys(words for each in closest for words in each.levers)
    advice = f"try {', '.join(levers)}" if levers else "free what is missing"
    return f"no profile fits this video on this machine ({reasons}): {advice}"
