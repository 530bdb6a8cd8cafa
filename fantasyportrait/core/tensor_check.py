"""Check of a checkpoint's tensors: missing, unexpected and misshapen ones are named in the error."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fantasyportrait.core.errors import WeightsError

Shape = tuple[int, ...]

MAX_LISTED = 5
"""Keys of one kind of fault that an error names; it counts the rest."""


def check_tensors(
    source: Path,
    found: Mapping[str, Shape],
    expected: Mapping[str, Shape],
    original: Callable[[str], str] = str,
) -> None:
    """Compare the tensors `found` in `source` with those that the network expects, both under the network's names.

    `original` maps a name to the one in the file, for the error. Raises `WeightsError` that names the first few tensors
    of each kind of fault, and both shapes of a misshapen one.
    """
    faults = {
        "missing": [f"{original(key)} {shape}" for key, shape in expected.items() if key not in found],
        "unexpected": [f"{original(key)} {shape}" for key, shape in found.items() if key not in expected],
        "of another shape": [
            f"{original(key)} {found[key]} instead of {shape}"
            for key, shape in expected.items()
            if key in found and found[key] != shape
        ],
    }
    said = [f"{what}: {shorten_list(keys)}" for what, keys in faults.items() if keys]
    if said:
        raise WeightsError(
            "{source} is not the model that is expected here; {names}", source=source, names="; ".join(said)
        )


def shorten_list(names: Sequence[str]) -> str:
    """The first `MAX_LISTED` names as text, and the number of the rest."""
    more = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
