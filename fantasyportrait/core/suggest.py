"""A suggestion for a misspelled name."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """Return ` (did you mean NAME?)` with the known name nearest to `given`, or an empty string where none is near."""
    if not isinstance(given, str):
        return ""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(given.lower(), by_lower, n=1)
    return f" (did you mean {by_lower[near[0]]}?)" if near else ""
