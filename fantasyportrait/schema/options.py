"""An option in one place: a field of a dataclass with its `Option`, from which checks, flags, widgets and docs follow.

smoothing: Annotated[float, Option("Smoothing of the driver's motion", "motion", limits=(0, 1))] = 0.5
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.checks import check_bool, check_choice, check_integer, check_number


@dataclass(frozen=True)
class Option:
    """The description of a field.

    Attributes:
        doc: what it does, in one line without a full stop.
        group: the heading under which it is listed.
        label: of its widget; the name by default.
        limits: the least and the largest number; `None` for no check here.
        slider: least, largest and step of the widget, where visitors of the app get another range.
        choices: each allowed value with its label, by default those of a Literal; for a switch that may be None, the
            labels of None, False and True.
        max_length: of a text, in characters.
        metavar: what stands for the value in help; the choices or the type by default.
        flag: of the command line where it is not `--name`, such as --absolute/--relative; empty for none.
        default_text: the default in words, where the value says too little.
        percent: the widget shows a share of 1 as a percentage.
        advanced: not offered by the app.
        name, kind, optional, default: of the field, set by `options_of`; `kind` is bool, int, float or str, where str
            is any type that is converted from text.
    """

    doc: str
    group: str = "other"
    label: str = ""
    limits: tuple[float, float] | None = None
    slider: tuple[float, float, float] | None = None
    choices: Mapping[Any, str] = field(default_factory=dict)
    max_length: int | None = None
    metavar: str = ""
    flag: str | None = None
    default_text: str = ""
    percent: bool = False
    advanced: bool = False
    name: str = ""
    kind: type = str
    optional: bool = False
    default: Any = None

    @property
    def key(self) -> str:
        """The name without its unit, as the text of a role has it: start for start_s."""
        return self.name.removesuffix("_s")

    @property
    def spelling(self) -> str:
        """The flag as it is written: --name, or --name/--no-name for a switch, where the option has none of its own."""
        name = self.name.replace("_", "-")
        return self.flag or (f"--{name}/--no-{name}" if self.kind is bool else f"--{name}")


@cache
def options_of(owner: type) -> tuple[Option, ...]:
    """The options of a dataclass, complete, in the order of its fields; fields without an `Option` are left out."""
    hints = get_type_hints(owner, include_extras=True)
    found = ((each, *_split(hints[each.name])) for each in fields(owner))
    return tuple(_complete(option, each, hint) for each, hint, option in found if option is not None)


def get_option(owner: type, name: str) -> Option:
    """The option of one field; raises `KeyError` where the field has none."""
    return {option.name: option for option in options_of(owner)}[name]


def check_options(instance: object, whose: str = "") -> None:
    """Check each field by its option: limits, choices, length.

    Raises `RequestError` that begins with the name of the field; with `whose`, such as " of face 2", with its key.
    """
    owner: type = type(instance)
    for option in options_of(owner):
        value = getattr(instance, option.name)
        if value is not None or not option.optional:
            _check(f"{option.key}{whose}" if whose else option.name, option, value)


def _check(name: str, option: Option, value: Any) -> None:
    if option.kind is bool:
        check_bool(name, value)
    elif option.choices:
        check_choice(name, value, tuple(option.choices))
    elif option.max_length is not None:
        if not isinstance(value, str) or len(value) > option.max_length:
            raise RequestError(
                "{name} is too long or no text: give at most {max_length} characters",
                name=name,
                max_length=option.max_length,
            )
    elif option.limits and option.kind is int:
        check_integer(name, value, int(option.limits[0]), int(option.limits[1]))
    # A text was checked by the converter of its field.
    elif option.limits and not (option.kind is str and isinstance(value, str)):
        check_number(name, value, *option.limits)


def _split(hint: Any) -> tuple[Any, Option | None]:
    """The type of a field without its annotations, and the `Option` among them."""
    if get_origin(hint) is not Annotated:
        return hint, None
    bare, *annotations = get_args(hint)
    return bare, next((each for each in annotations if isinstance(each, Option)), None)


def _complete(option: Option, of: "Field[Any]", hint: Any) -> Option:
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    bare = next(part for part in parts if part is not NoneType)
    words = get_args(bare) if get_origin(bare) is Literal else ()
    return replace(
        option,
        label=option.label or of.name.replace("_", " ").capitalize(),
        choices=option.choices or {word: word for word in words},
        name=of.name,
        kind=bare if bare in (bool, int, float) else str,
        optional=NoneType in parts,
        default=None if of.default is MISSING else of.default,
    )
