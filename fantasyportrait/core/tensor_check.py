"""Exactly the expected tensors: a missing, extra or misshapen one is an error that names it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fantasyportrait.core.errors import WeightsError

Shape = tuple[int, ...]

NAMED_IN_ERRORS = 5
"""How many keys an error names before it only counts them."""


def check_tensors(
    source: Path,
    found: Mapping[str, Shape],
    expected: Mapping[str, Shape],
    published: Callable[[str], str] = str,
) -> None:
    """Compare the tensors of `source` with those that the network has, both under our names.

    `published` gives the name that the file itself uses, for the error. Raises `WeightsError` that names the first few
    tensors of each kind of fault, and both shapes of a misshapen one.
    """
    faults = {
        "missing": [f"{published(key)} {shape}" for key, shape in expected.items() if key not in found],
        "unexpected": [f"{published(key)} {shape}" for key, shape in found.items() if key not in expected],
        "of another shape": [
            f"{published(key)} {found[key]} instead of {shape}"
            for key, shape in expected.items()
            if key in found and found[key] != shape
        ],
    }
    said = [f"{what}: {some_of(keys)}" for what, keys in faults.items() if keys]
    if said:
        raise WeightsError(f"{source} is not the model that is expected here; {'; '.join(said)}")


def some_of(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = len(names) - NAMED_IN_ERRORS
    return ", ".join(names[:NAMED_IN_ERRORS]) + (f" and {more} more" if more > 0 else "")
