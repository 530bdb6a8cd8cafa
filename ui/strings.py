"""The strings of the page, in each language."""

import json
from pathlib import Path

import gradio as gr

TRANSLATIONS = Path(__file__).parent / "translations"
LANGUAGES = ("en", "zh")


def load_strings() -> dict[str, dict[str, str]]:
    """The sentences of the page by language and key.

    Texts of the schema (options, motions, presets) are in English in the schema itself, so only translations of them
    are in files.
    """
    strings = {name: _table(f"{name}.json") for name in LANGUAGES}
    strings["zh"] |= _table("schema.zh.json")
    return strings


def load_sentences() -> dict[str, dict[str, str]]:
    """Translations of what the package says (errors, warnings, messages), by language and English template.

    In a template {name} stands for a value. A sentence without a translation is shown in English.
    """
    return {"zh": _table("sentences.zh.json")}


def translations() -> gr.I18n:
    """Both tables, which gradio sends with the page; before the key of a sentence stands "sentence:"."""
    tables = load_strings()
    for name, sentences in load_sentences().items():
        tables[name] |= {f"sentence:{key}": text for key, text in sentences.items()}
    return gr.I18n(**tables)


def _table(name: str) -> dict[str, str]:
    table: dict[str, str] = json.loads((TRANSLATIONS / name).read_text(encoding="utf-8"))
    return table
