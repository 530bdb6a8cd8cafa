"""The page docs/reference.md, made from the options:  python -m fantasyportrait.cli.reference > docs/reference.md"""

import sys
from collections.abc import Iterator, Sequence

from fantasyportrait.cli.option_flags import default_text
from fantasyportrait.runtime import runtime_config
from fantasyportrait.schema import request, sampling
from fantasyportrait.schema.cast import ClipSource, Role
from fantasyportrait.schema.face_edits import FaceEdits
from fantasyportrait.schema.options import Option, options_of
from fantasyportrait.schema.regions import Regions

INTRODUCTION = """\
# Options

Every option is a field of a dataclass; its check, its flag, its widget in the app and its row here are made from it.
Edit the field, then run `make docs`. In Python and in saved requests an option has the name of its field.
"""
CAST = """
## The cast

Fields of a `Role`, of its `ClipSource` where a clip drives it, and of its `Regions`. On the command line a role is
`FACE=SOURCE[#key=value[&key=value...]]`, for example `--cast "2=b.mp4#person=2&delay=1.5&head=off"`.
"""
HEADS = ("field", "flag", "values", "default", "what it is", "in the app")
CAST_HEADS = ("field", "key", "values", "default", "what it is")
REQUEST = """
## The request

Fields of `AnimationRequest`, and flags of `fantasyportrait animate`, where the portrait is the argument PHOTO and each
role of the cast a `--cast`. With `--request FILE` a flag overrides the field of the saved request.
"""
FACES = """
## Edits of the faces

Fields of `FaceEdits`, the field `face_edits` of a request. Faces that are found are numbered row by row, left to right;
an edit changes no number but its own, so no role goes to another person. An added face has the number that its edit
gives it. A face that is removed and added again under its number is fitted to the box.
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
    parts = [
        INTRODUCTION,
        *_table(REQUEST, options_of(request.AnimationRequest), HEADS),
        *_table(FACES, options_of(FaceEdits), HEADS[:5]),
        *_table(SAMPLING, options_of(sampling.Sampling), HEADS),
        *_table(RUNTIME, options_of(runtime_config.RuntimeConfig), HEADS[:5]),
        *_table(CAST, [option for owner in (Role, ClipSource, Regions) for option in options_of(owner)], CAST_HEADS),
    ]
    return "\n".join(parts) + "\n"


def _table(heading: str, options: Sequence[Option], heads: Sequence[str]) -> list[str]:
    rows = [heads, ["---"] * len(heads), *_rows(options, heads)]
    return [heading, *("| " + " | ".join(row) + " |" for row in rows)]


def _rows(options: Sequence[Option], heads: Sequence[str]) -> Iterator[list[str]]:
    """A row for each option below one with the name of its group."""
    for group in dict.fromkeys(option.group for option in options):
        yield [f"**{group}**", *[""] * (len(heads) - 1)]
        for option in options:
            if option.group == group:
                cells = _cells(option)
                yield [cells[head].replace("|", r"\|") for head in heads]


def _cells(option: Option) -> dict[str, str]:
    """The cells of an option by the heads of their columns."""
    return {
        "field": f"`{option.name}`",
        "flag": "" if option.flag == "" else f"`{option.spelling}`",
        "key": "" if option.flag == "" else f"`{option.key}`",
        "values": _values(option),
        "default": default_text(option),
        "what it is": option.doc,
        "in the app": "" if option.advanced else option.label,
    }


def _values(option: Option) -> str:
    """What the field takes, in words."""
    if option.kind is bool:
        return "yes or no"
    if option.limits and option.kind is not str:
        low, high = option.limits
        return f"a whole number from {low} to {high}" if option.kind is int else f"a number from {low:g} to {high:g}"
    if option.metavar:
        return f"`{option.metavar}`"
    if option.choices:
        return ", ".join(f"`{choice}`" for choice in option.choices)
    if option.max_length:
        return f"text of up to {option.max_length} characters"
    return {int: "a whole number", float: "a number"}.get(option.kind, "text")


if __name__ == "__main__":
    sys.stdout.write(reference())
