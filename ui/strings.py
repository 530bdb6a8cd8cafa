"""The strings of the page, in each language."""

import json
from pathlib import Path

TRANSLATIONS = Path(__file__).parent / "translations"
LANGUAGES = ("en", "zh")


def load_strings() -> dict[str, dict[str, str]]:
    """The sentences of the page by language and key."""
    return {name: json.loads((TRANSLATIONS / f"{name}.json").read_text(encoding="utf-8")) for name in LANGUAGES}
