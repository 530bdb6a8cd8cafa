"""The profile for a job: the fastest that fits, exact weights preferred; and the fallback when memory runs out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from fantasyportrait.core.errors import RequestError
from fantasyportrait.planning.estimate import Estimate, TimeCorrection, estimate
from fantasyportrait.planning.machine import GIB, Machine
from fantasyportrait.planning.workload import CostInputs, ModelSize
from fantasyportrait.runtime.profiles import PROFILES, Profile, get_profile
from fantasyportrait.runtime.torch_config import compile_unsupported

# Quantized weights change the video a little, so they are chosen only if they are so many times faster.
MIN_QUANTIZED_SPEEDUP = 1.25
# A fallback takes at most this share of the memory that did not suffice.
FALLBACK_SHARE = 0.9


def unsupported_reason(profile: Profile, machine: Machine, model: ModelSize, compiled: bool = False) -> str:
    """Why the profile is not possible with this machine and model, for any job; empty if it is possible.

    `compiled`: whether the transformer's blocks are compiled.
    """
    own = model.gguf_profile
    if compiled and (why := compile_unsupported(profile, gguf=own is not None)):
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
    if profile.gpu_only and machine.unified_memory:
        return "needs a GPU with memory of its own"
    if profile.weights == "fp8" and machine.kind == "mps":
        return "needs the dtype float8, which mps does not have"
    if machine.capability is not None and machine.capability < profile.capability:
        need, has = (".".join(map(str, each)) for each in (profile.capability, machine.capability))
        return f"needs compute capability {need}, and {machine.name} has {has}"
    if profile.package is not None and profile.package not in machine.packages:
        return f'needs the package {profile.package}: run  pip install "fantasyportrait[{profile.extra}]"'
    return ""


def estimate_profiles(
    inputs: CostInputs, correction: Callable[[Profile], TimeCorrection] | None = None, compiled: bool = False
) -> tuple[Estimate, ...]:
    """The estimate of each profile, in the table's order; `correction` gives the correction from past runs."""
    found = []
    for profile in PROFILES:
        why = unsupported_reason(profile, inputs.machine, inputs.model_size, compiled)
        each = estimate(profile, inputs, why, TimeCorrection() if correction is None else correction(profile))
        lack = _disk_shortage(profile, inputs.machine, inputs.model_size)
        found.append(replace(each, fits=False, reason=lack, lacks_disk=True) if each.fits and lack else each)
    return tuple(found)


def _disk_shortage(profile: Profile, machine: Machine, model: ModelSize) -> str:
    """The disk space missing for a profile's copy of the transformer, in words; empty if none is missing."""
    need = model.whole / GIB
    if profile.offload not in ("stream", "disk") or model.gguf is not None or need <= machine.disk_gib:
        return ""
    return (
        f"needs {need:.0f} GiB of the disk beside the model for a copy of the transformer, and {machine.disk_gib:.0f} "
        "are free"
    )


def select_profile(found: Sequence[Estimate], wanted: str = "auto") -> Estimate:
    """The estimate of the profile to use: the wanted one, or the fastest that fits.

    Exact weights are preferred unless a quantized profile is more than `MIN_QUANTIZED_SPEEDUP` times faster. Raises
    `RequestError` that names what is missing and what to change.
    """
    best = _fastest(each for each in found if each.fits and not _offloads_needlessly(each, found))
    if wanted != "auto":
        profile = get_profile(wanted)
        (given,) = (each for each in found if each.profile == profile)
        if given.fits:
            return given
        instead = f"use {best.profile.name}, which fits, or auto" if best is not None else _no_fit_message(found)
        if given.possible and not given.lacks_disk:
            instead += "; to try it all the same, name more memory (vram_gib, ram_gib)"
        raise RequestError(
            "the profile {wanted} {reason}: {instead}", wanted=wanted, reason=given.reason, instead=instead
        )
    if best is None:
        raise RequestError(_no_fit_message(found))
    return best


def fall_back(found: Sequence[Estimate], current: Estimate) -> Estimate | None:
    """The same choice among profiles with a clearly lower peak on the device, or with no higher one there and a clearly
    lower one on the host; None if there are none."""
    host = FALLBACK_SHARE * max(current.ram_gib, current.load_gib)
    return _fastest(
        each
        for each in found
        if each.fits
        and each.profile != current.profile
        and (
            each.vram_gib <= FALLBACK_SHARE * current.vram_gib
            or (each.vram_gib <= current.vram_gib and max(each.ram_gib, each.load_gib) <= host)
        )
    )


def _offloads_needlessly(one: Estimate, found: Iterable[Estimate]) -> bool:
    """Whether the profile offloads, and one with the same weights fits without offloading, in no more memory."""
    return one.profile.offload != "none" and any(
        each.fits
        and each.profile.offload == "none"
        and each.profile.weights == one.profile.weights
        and each.vram_gib <= one.vram_gib
        for each in found
    )


def _fastest(candidates: Iterable[Estimate]) -> Estimate | None:
    """The fastest, exact weights preferred; on a tie the first of the table."""
    ordered = sorted(candidates, key=lambda each: each.total_s)
    exact = next((each for each in ordered if each.profile.exact), None)
    if exact is not None and exact.total_s <= MIN_QUANTIZED_SPEEDUP * ordered[0].total_s:
        return exact
    return ordered[0] if ordered else None


def _no_fit_message(found: Sequence[Estimate]) -> str:
    """The error for a job that fits no profile: the closest profiles, and what to change."""
    possible = [each for each in found if each.possible]
    if not possible:
        reasons = "; ".join(dict.fromkeys(each.reason for each in found))
        return f"no profile is possible with this model on this machine ({reasons})"
    least_vram = min(possible, key=lambda each: each.vram_gib)
    least_ram = min(possible, key=lambda each: (max(each.ram_gib, each.load_gib), each.vram_gib))
    closest = dict.fromkeys((*(each for each in possible if each.lacks_disk), least_vram, least_ram))
    reasons = "; ".join(f"{each.profile.name} {each.reason}" for each in closest)
    suggestions = dict.fromkeys(words for each in closest for words in each.suggestions)
    advice = f"try {', '.join(suggestions)}" if suggestions else "free what is missing"
    return f"no profile fits this video on this machine ({reasons}): {advice}"
