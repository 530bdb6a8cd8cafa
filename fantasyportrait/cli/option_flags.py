"""Flags from options: one for each field of a dataclass, and the values that were given by the names of the fields."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any

import typer

from fantasyportrait.schema.options import Option, options_of

Given = Mapping[str, Any]
"""The values of the generated flags that were given, by the names of their fields."""
Flags = Sequence[inspect.Parameter]


def flags_of(owner: type, mark: str = "", without: Collection[str] = ()) -> list[inspect.Parameter]:
    """One flag for each field of a dataclass that has an option; `mark` begins their help."""
    return [flag(option, mark) for option in options_of(owner) if option.flag != "" and option.name not in without]


def flag(option: Option, mark: str = "") -> inspect.Parameter:
    """The flag of an option as a parameter for typer; its default None means that it was not given."""
    metavar = None if option.kind is bool else option.metavar or "|".join(option.choices) or None
    kind: Any = option.kind
    about = typer.Option(
        option.spelling, metavar=metavar, help=f"{mark}{option.doc}. [default: {default_text(option)}]"
    )
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, about]
    )


def default_text(option: Option) -> str:
    """The default in words."""
    if option.default_text:
        return option.default_text
    if isinstance(option.default, bool):
        return "yes" if option.default else "no"
    return f"{option.default:g}" if isinstance(option.default, float) else str(option.default)


def with_flags(command: Callable[..., None], flags: Flags) -> Callable[..., None]:
    """The command with these flags in its signature; it gets their values as its first argument, a `Given`."""
    own = list(inspect.signature(command).parameters.values())[1:]

    @functools.wraps(command)
    def call(**values: Any) -> None:
        given = {each.name: values.pop(each.name) for each in flags}
        command({name: value for name, value in given.items() if value is not None}, **values)

    call.__dict__["__signature__"] = inspect.Signature([*own, *flags])
    return call


def fields_given(owner: Any, given: Given) -> dict[str, Any]:
    """The fields of a dataclass among the given values."""
    return {each.name: given[each.name] for each in fields(owner) if each.name in given}
