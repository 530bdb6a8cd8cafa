"""The strings of the page: each key that the scripts use is there in each language, and no other."""

import ast
import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import fantasyportrait
from ui.components.studio_page import STATIC
from ui.form_schema import form_schema
from ui.strings import LANGUAGES, load_sentences, load_strings

SCRIPTS = "\n".join(file.read_text(encoding="utf-8") for file in sorted(STATIC.glob("*.js")))
LITERAL = re.compile(r"\bt\((?:[^(){}`]*\? )?\"([a-z0-9_.]+)\"(?: : \"([a-z0-9_.]+)\")?")
PREFIX = re.compile(r"\bt(?:extOr)?\((?:[^(){}`]*[?:] )?`([a-z0-9_.]+\.)\$\{")
QUOTED = re.compile(r"[\"`]([a-z0-9_]+(?:\.[a-z0-9_]+)*)[\"`]")
VALUE = re.compile(r"\{(\w+)\}")
FORMAT = re.compile(r"(?<=\w)(?:![rsa])?(?::[^{}]*)?(?=\})")


def schema_keys() -> set[str]:
    """The key of each text of the schema that the page shows."""
    schema: dict[str, Any] = form_schema("a model")
    keys = {f"option.regions.{region['value']}" for region in schema["regions"]}
    for option in chain(schema["options"], schema["sampling"], schema["card"].values()):
        values = (str(choice["value"]) for choice in option["choices"])
        # Python writes True where JavaScript writes true.
        keys |= {f"option.{option['name']}.{part}" for part in ("label", "doc", *map(str.lower, values))}
    for motion in schema["motions"]:
        keys |= {f"motion.{motion['name']}", f"motion.{motion['name']}.about"}
    return keys | {f"preset.{preset['name']}.tradeoff" for preset in schema["presets"]}


def test_languages_have_same_keys() -> None:
    strings = load_strings()
    assert set(strings["en"]) - schema_keys() == set(strings["zh"]) - schema_keys()
    assert all(text.strip() for table in strings.values() for text in table.values())


def test_each_text_of_schema_is_translated_and_no_other() -> None:
    strings = load_strings()
    assert schema_keys() <= set(strings["zh"])
    assert not {key for key in strings["zh"] if key.startswith(("option.", "motion."))} - schema_keys()


@pytest.mark.parametrize("name", LANGUAGES)
def test_each_key_of_scripts_is_there(name: str) -> None:
    used = {key for found in LITERAL.findall(SCRIPTS) for key in found if key}
    assert len(used) > 50
    strings = load_strings()[name]
    assert not used - set(strings)
    of_schema = ("option.", "motion.")
    assert all(
        any(key.startswith(prefix) for key in strings) for prefix in prefixes() if not prefix.startswith(of_schema)
    )


def test_each_key_is_used() -> None:
    quoted = set(QUOTED.findall(SCRIPTS))
    unused = {key for key in load_strings()["en"] if key not in quoted and not key.startswith(tuple(prefixes()))}
    assert not unused


def test_group_and_preset_of_each_option_are_named() -> None:
    schema = form_schema("a model")
    wanted = {f"group.{option['group']}" for option in chain(schema["options"], schema["sampling"])}
    wanted |= {f"preset.{preset['name']}" for preset in schema["presets"]}
    assert wanted <= set(load_strings()["en"])


def test_translations_keep_values() -> None:
    english, chinese = load_strings()["en"], load_strings()["zh"]
    for key, text in english.items():
        assert set(VALUE.findall(text)) == set(VALUE.findall(chinese[key])), key


def prefixes() -> set[str]:
    """The fixed beginnings of keys that the scripts complete by a name."""
    return set(PREFIX.findall(SCRIPTS))


def source_keys() -> set[str]:
    """Each text of the package as the key of a sentence: {name} for its values, without how they are formatted."""
    return {
        FORMAT.sub("", node.value)
        for file in Path(fantasyportrait.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_each_translated_sentence_is_said_by_package() -> None:
    """A sentence that is changed in the package is changed in its translation too."""
    assert not set(load_sentences()["zh"]) - source_keys()


def test_translated_sentences_use_values_of_their_templates() -> None:
    for template, text in load_sentences()["zh"].items():
        names = VALUE.findall(template)
        assert len(set(names)) == len(names), template
        assert set(VALUE.findall(text)) <= set(names), template
