"""axe-core on each state of the page, light and dark, and the size of what is clicked."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.ui.browsing import (
    animate,
    choose,
    choose_example,
    choose_kind,
    error_text,
    open_options,
    set_seconds,
    visiting,
    wait_for_job,
    wait_for_loop,
    wait_for_result,
)
from tests.ui.serving import Served

pytestmark = pytest.mark.browser

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# A dark page differs from a light one in its colours alone.
COLOUR_RULES = ["color-contrast", "link-in-text-block"]
PLACE = ".studio"
"""What gradio puts around our page is not ours to change: its toasts, its hidden settings and its outer <main>."""
SMALL = """() => [...document.querySelectorAll(
    '.studio :is(button, a[href], summary, label.segment, label.switch, input[type=range], select)')]
    .filter(each => each.checkVisibility())
    .map(each => [each.getBoundingClientRect(), each.outerHTML.slice(0, 100)])
    .filter(([box]) => box.width && (box.width < 24 || box.height < 24))
    .map(([box, text]) => `${Math.round(box.width)} x ${Math.round(box.height)}: ${text}`)"""


@pytest.fixture(params=["light", "dark"])
def themed_page(request: pytest.FixtureRequest, browser: Any, wan_app: Served) -> Iterator[Any]:
    """The app with both engines, for a visitor who prefers light or dark."""
    with visiting(browser, wan_app, color_scheme=request.param) as tab:
        assert tab.evaluate("document.body.classList.contains('dark')") == (request.param == "dark")
        yield tab


def problems(page: Any, state: str) -> list[str]:
    """Violations of axe-core's rules in this state, and targets under 24 px."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    dark = page.evaluate("document.body.classList.contains('dark')")
    found = axe.Axe().run(page, PLACE, {"runOnly": COLOUR_RULES if dark else RULES})
    broken = [
        f"{state}: {rule['id']} ({rule['impact']}): {node['target']} {node['failureSummary']}"
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ]
    return [*broken, *(f"{state}: {small}" for small in page.evaluate(SMALL))]


def test_page_is_accessible_in_each_state(themed_page: Any) -> None:
    page, found = themed_page, []
    page.wait_for_selector("#example")
    found += problems(page, "welcome")
    choose_example(page)
    wait_for_loop(page)
    found += problems(page, "photo")
    for kind in ("clip", "still", "free", "motion"):
        choose_kind(page, 1, kind)
        page.wait_for_selector(f"input[name=kind-1][value={kind}]:checked", state="attached")
        found += problems(page, f"card: {kind}")
    page.click("#card-1 .adjust > summary")
    open_options(page)
    found += problems(page, "options of the preview")
    set_seconds(page, 60)
    animate(page)
    wait_for_job(page)
    found += problems(page, "running")
    page.click("#job .stop")
    page.wait_for_selector("#job", state="detached")
    set_seconds(page, 0.2)
    animate(page)
    wait_for_result(page)
    found += problems(page, "result")
    choose(page, "engine", "wan")
    page.wait_for_selector("#option-prompt")
    found += problems(page, "options of Wan")
    page.click("#back")
    page.set_input_files("#photo-file", {"name": "letter.png", "mimeType": "image/png", "buffer": b"Dear reader"})
    error_text(page, ".stage")
    found += problems(page, "error")
    assert not found, "\n".join(found)
