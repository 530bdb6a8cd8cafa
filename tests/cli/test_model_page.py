"""docs/models.md is what the catalogs say."""

from pathlib import Path

from fantasyportrait.cli.model_page import model_page
from fantasyportrait.weights.catalog import SMALL_MODELS
from fantasyportrait.weights.hub_catalog import HUB_MODELS


def test_model_page_is_current(repository: Path) -> None:
    assert (repository / "docs" / "models.md").read_text(encoding="utf-8") == model_page(), "run  make docs"


def test_model_page_names_every_model_with_its_licence() -> None:
    rows = [line for line in model_page().splitlines() if line.startswith("| `")]
    for model in (*SMALL_MODELS, *HUB_MODELS):
        (row,) = [line for line in rows if line.startswith(f"| `{model.name}` |")]
        assert f"| {model.licence} |" in row
