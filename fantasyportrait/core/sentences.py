"""Sentences for users, kept as a key and values, so that they can be said in another language."""

import re
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

_PLACE = re.compile(r"\{(\w+)\}")


class Sentence(str):
    """A sentence in English that keeps the template it was made from.

    `Sentence("{path} lasts {seconds:.1f} s", path=path, seconds=2)` reads like `str.format`: fields are names, with a
    conversion and a format specification where wanted.

    Attributes:
        key: the template with {name} for each value: what a table of translations is asked for.
        values: the text of each value; it may be a sentence too.
    """

    key: str
    values: Mapping[str, str]

    def __new__(cls, template: str, /, **values: object) -> "Sentence":
        """Format the values by the fields of the template; without values it is taken as it is."""
        if not values:
            return cls.of(template, {})
        formatter = Formatter()
        parts: list[str] = []
        texts: dict[str, str] = {}
        for literal, name, spec, conversion in formatter.parse(template):
            parts.append(literal)
            if name is not None:
                # An error stands for its sentence.
                value = getattr(values[name], "sentence", values[name])
                if isinstance(value, Sentence) and not (spec or conversion):
                    texts[name] = value
                else:
                    texts[name] = format(formatter.convert_field(value, conversion), spec or "")
                parts.append(f"{{{name}}}")
        return cls.of("".join(parts), texts)

    @classmethod
    def of(cls, key: str, values: Mapping[str, str]) -> "Sentence":
        """The sentence of a key and the texts of its values."""
        sentence = super().__new__(cls, _PLACE.sub(lambda place: values.get(place[1], place[0]), key))
        sentence.key, sentence.values = key, dict(values)
        return sentence

    def __reduce__(self) -> tuple[Any, ...]:
        return Sentence.of, (self.key, self.values)


def with_values(text: str, change: Callable[[str], str]) -> str:
    """The text after `change`; of a sentence with values only these are changed, each by itself."""
    if isinstance(text, Sentence) and text.values:
        return Sentence.of(text.key, {name: with_values(value, change) for name, value in text.values.items()})
    return change(text)


def encode(data: Any) -> Any:
    """Data of JSON in which each sentence with values is {"key": key, "values": values}, to be read by `decode`."""
    if isinstance(data, Sentence) and data.values:
        return {"key": data.key, "values": encode(data.values)}
    if isinstance(data, Mapping):
        return {name: encode(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [encode(value) for value in data]
    return data


def decode(data: Any) -> Any:
    """What `encode` was given, with lists for its tuples. Raises `ValueError` for values that are not text."""
    if isinstance(data, list):
        return [decode(value) for value in data]
    if not isinstance(data, dict):
        return data
    values = {name: decode(value) for name, value in data.items()}
    if values.keys() != {"key", "values"}:
        return values
    if not (isinstance(values["key"], str) and _are_texts(values["values"])):
        raise ValueError("a sentence whose key or values are not text")
    return Sentence.of(values["key"], values["values"])


def _are_texts(values: object) -> bool:
    return isinstance(values, dict) and all(isinstance(value, str) for value in values.values())
