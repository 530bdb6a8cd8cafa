"""The page docs/reference.md, made from the options:  python -m fantasyportrait.cli.reference > docs/reference.md"""

import sys
from collections.abc import Iterator

from fantasyportrait.cli.option_flags import default_text, spelling
from fantasyportrait.runtime import runtime_config
from fantasyportrait.schema import request, sampling
from fantasyportrait.schema.options import Option, options_of

INTRODUCTION = """\
# Options

Every option is a field of a dataclass; its check, its flag, its widget in the app and its row here are made from it.
Edit the field, then run `make docs`. In Python and in saved requests an option has the name of its field.
"""
HEADS = ("field", "flag", "values", "default", "what it is", "in the app")
REQUEST = """
## The request

Fields of `AnimationRequest`, and flags of `fantasyportrait animate`, where the portrait is the argument PHOTO and each
role of the cast a `--cast`. With `--request FILE` a flag overrides the field of the saved request.
"""
SAMPLING = """
## Sampling, for `wan` alone

Fields of `Sampling`, the field `sampling` of a request. `--preset` sets several of them, and
`--portrait-guidance-span START:END` both ends of portrait guidance.
"""
RUNTIME = """
## The machine, for `wan` alone

Fields of `RuntimeConfig`, which is no part of a request: flags of `fantasyportrait animate`, `machine`, `app` and
`workers`.
"""


def reference() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for heading, owner, columns in (
        (REQUEST, request.AnimationRequest, 6),
        (SAMPLING, sampling.Sampling, 6),
        (RUNTIME, runtime_config.RuntimeConfig, 5),
    ):
        rows = [HEADS, ("---",) * 6, *_rows(options_of(owner))]
        parts += [heading, *("| " + " | ".join(row[:columns]) + " |" for row in rows)]
    return "\n".join(parts) + "\n"


def _rows(options: tuple[Option, ...]) -> Iterator[tuple[str, ...]]:
    """A row for each option below one with the name of its group."""
    for group in dict.fromkeys(option.group for option in options):
        yield (f"**{group}**", *[""] * 5)
        for option in options:
            if option.group == group:
                yield tuple(cell.replace("|", r"\|") for cell in _cells(option))


def _cells(option: Option) -> tuple[str, ...]:
    return (
        f"`{option.name}`",
        "" if option.flag == "" else f"`{spelling(option)}`",
        _values(option),
        default_text(option),
        option.doc,
        "" if option.advanced else option.label,
    )


def _values(option: Option) -> str:
    """What the field takes, in words."""
    if option.kind is bool:
        return "yes or no"
    if option.limits and option.kind is not str:
        low, high = option.limits
        return f"{'a whole number' if option.kind is int else 'a number'} from {low} to {high}"
    if option.metavar:
        return f"`{option.metavar}`"
    if option.choices:
        return ", ".join(f"`{choice}`" for choice in option.choices)
    return f"text of up to {option.max_length} characters" if option.max_length else "text"


if __name__ == "__main__":
    sys.stdout.write(reference())
