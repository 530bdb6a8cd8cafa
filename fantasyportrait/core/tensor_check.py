"""Check of a checkpoint's tensors: a missing, extra or misshapen one is an error that names it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fantasyportrait.core.errors import WeightsError

Shape = tuple[int, ...]

MAX_LISTED = 5
"""How many keys an error names before it only counts them."""


def check_tensors(
    source: Path,
    found: Mapping[str, Shape],
    expected: Mapping[str, Shape],
    original: Callable[[str], str] = str,
) -> None:
    """Compare the tensors of `source` with those that the network has, both under our names.

    `original` gives the name that the file itself uses, for the error. Raises `WeightsError` that names the first few
    tensors of each kind of fault, and both shapes of a misshapen one.
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
        raise WeightsError(f"{source} is not the model that is expected here; {'; '.join(said)}")


def shorten_list(names: Sequence[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
