"""The flags of `wan`, the diffusion engine: its sampling, and the runtime config of this machine."""

from typing import TYPE_CHECKING, Any

from fantasyportrait.cli.option_flags import Flags, Given, fields_given, flag, flags_of
from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.options import Option

if TYPE_CHECKING:
    from fantasyportrait.runtime.runtime_config import RuntimeConfig

MARK = "[wan] "
SPAN = Option(
    "The part of the steps with portrait guidance",
    name="portrait_guidance_span",
    metavar="START:END",
    default_text="0:1",
)


def sampling_flags() -> Flags:
    """The flags: one for each field of `Sampling`, the preset, and the span of portrait guidance."""
    from fantasyportrait.schema.presets import PRESET
    from fantasyportrait.schema.sampling import Sampling

    return [flag(PRESET, MARK), *flags_of(Sampling, MARK), flag(SPAN, MARK)]


def runtime_flags(without: tuple[str, ...] = ()) -> Flags:
    """The flags: one for each field of `RuntimeConfig`."""
    from fantasyportrait.runtime.runtime_config import RuntimeConfig

    return flags_of(RuntimeConfig, MARK, without)


def worker_flags() -> Flags:
    """The flags of workers that run whole jobs: without `parallel`, which splits a job over processes."""
    return runtime_flags(without=("parallel",))


def runtime_config(given: Given) -> "RuntimeConfig":
    """The runtime config from the given flags; raises `RequestError`."""
    from fantasyportrait.runtime.runtime_config import RuntimeConfig

    return RuntimeConfig(**fields_given(RuntimeConfig, given))


def sampling_overrides(given: Given) -> dict[str, Any]:
    """The fields of `Sampling` that the given flags set; raises `RequestError`.

    A preset sets several fields; the flag of a single field overrides it.
    """
    from fantasyportrait.schema.presets import get_preset
    from fantasyportrait.schema.sampling import Sampling

    changes = get_preset(given["preset"]).changes if "preset" in given else {}
    changes |= fields_given(Sampling, given)
    if "model" in changes:
        changes["model"] = _model(changes["model"])
    if SPAN.name in given:
        changes["portrait_guidance_start"], changes["portrait_guidance_end"] = _span(given[SPAN.name])
    return changes


def _model(text: str) -> str:
    """A name stays; a folder becomes absolute, so that the saved request finds it from anywhere."""
    from fantasyportrait.schema.sampling import Sampling

    folder = Sampling(model=text).model_folder
    return text if folder is None else folder.expanduser().resolve().as_posix()


def _span(text: str) -> tuple[float, float]:
    start, colon, end = text.partition(":")
    try:
        return (float(start), float(end)) if colon else _no_span(text)
    except ValueError:
        return _no_span(text)


def _no_span(text: str) -> tuple[float, float]:
    raise RequestError(
        "--portrait-guidance-span is {text!r}: give START:END, shares of the steps, for example 0:0.6", text=text
    )
