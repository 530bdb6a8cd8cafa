"""The option metadata of a field is complete, fits its type and is enough to check values."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest

from fantasyportrait.core.errors import RequestError
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.cast import ClipSource, Role
from fantasyportrait.schema.options import Option, check_options, get_option, options_of
from fantasyportrait.schema.regions import Regions
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling

OWNERS = (AnimationRequest, Sampling, RuntimeConfig, Role, ClipSource, Regions)
OPTIONS = [pytest.param(owner, option, id=option.name) for owner in OWNERS for option in options_of(owner)]


@dataclass(frozen=True)
class Dials:
    """One field of each kind."""

    share: Annotated[float, Option("A share", limits=(0, 1))] = 0.5
    count: Annotated[int | None, Option("A count", "numbers", limits=(1, 9))] = None
    word: Annotated[Literal["red", "green"], Option("A colour")] = "red"
    switch: Annotated[bool | None, Option("A switch", choices={None: "Automatic", False: "Off", True: "On"})] = None
    text: Annotated[str, Option("A text", label="Some words", max_length=3)] = ""
    plain: int = 0

    def __post_init__(self) -> None:
        check_options(self)


def test_option_knows_its_field() -> None:
    share, count, word, switch, text = options_of(Dials)
    assert [option.name for option in options_of(Dials)] == ["share", "count", "word", "switch", "text"]
    assert (share.kind, share.optional, share.default, share.label) == (float, False, 0.5, "Share")
    assert (count.kind, count.optional, count.default, count.group) == (int, True, None, "numbers")
    assert (word.kind, dict(word.choices)) == (str, {"red": "red", "green": "green"})
    assert (switch.kind, switch.optional) == (bool, True) and text.label == "Some words"
    assert get_option(Dials, "text") is text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 2}, "share is 2: give a number from 0 to 1"),
        ({"share": None}, "share is None: give a number from 0 to 1"),
        ({"count": 0}, "count is 0: give a whole number from 1 to 9"),
        ({"count": 2.0}, "count is 2.0: give a whole number from 1 to 9"),
        ({"word": "gren"}, "word is 'gren' (did you mean green?): choose one of red, green"),
        ({"switch": "on"}, "switch is 'on': give true or false"),
        ({"text": "four"}, "text is too long or no text: give at most 3 characters"),
        ({"text": None}, "text is too long or no text: give at most 3 characters"),
    ],
)
def test_option_refuses_invalid_value(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        Dials(**values)
    assert str(caught.value) == message


def test_option_accepts_valid_values() -> None:
    dials = Dials(1, 9, "green", True, "abc", 5)
    assert (dials.share, dials.count, dials.word, dials.switch, dials.text) == (1, 9, "green", True, "abc")
    assert Dials().count is None and Dials().switch is None


@pytest.mark.parametrize(("owner", "option"), OPTIONS)
def test_options_are_complete(owner: type, option: Option) -> None:
    assert option.doc[0].isalnum() and not option.doc.endswith(".") and "\n" not in option.doc
    assert option.group != "other" and option.label
    low, high, step = option.slider or (0, 1, 1)
    assert low < high and step > 0
    if option.slider and option.limits:
        assert option.limits[0] <= low and high <= option.limits[1] and low <= option.default <= high
    assert option.default is not None or option.default_text
    # These have a check of their own in `__post_init__`.
    assert option.limits or option.kind not in (int, float) or option.name in ("face", "vram_gib", "ram_gib")


@pytest.mark.parametrize(("owner", "option"), OPTIONS)
def test_choices_are_those_of_the_type(owner: type, option: Option) -> None:
    hint = get_type_hints(owner)[option.name]
    if get_origin(hint) is Literal:
        assert tuple(option.choices) == get_args(hint) and option.default in option.choices


def test_every_field_has_an_option() -> None:
    described = {option.name for owner in OWNERS for option in options_of(owner)}
    assert {each.name for owner in OWNERS for each in fields(owner)} - described == {
        "sampling",
        "regions",
        "face_edits",
    }
