"""The presets in a real Chromium: one sets the settings below it, and a setting that is moved makes them one's own."""

from typing import Any

import pytest

from tests.ui.browsing import WAIT_MS, set_steps
from ui.engine_values import gives_up

pytestmark = pytest.mark.browser

PLACES = ("#steps input[type=number]", "#guidance-ends input[type=number]")


def chosen(page: Any) -> tuple[str, str, str, str, str]:
    """Preset, steps, end of portrait guidance, LoRA, step cache."""
    boxes = [page.get_attribute(f"#{name} input:checked", "value") for name in ("preset", "lora", "step-cache")]
    return boxes[0], *(page.input_value(place) for place in PLACES), *boxes[1:]


def choose_preset(page: Any, name: str) -> None:
    """Choose it and wait until it says what it gives up; settings just opened do not listen yet."""
    for _ in range(10):
        page.click(f"#preset label:has-text('{name}')")
        page.wait_for_timeout(WAIT_MS / 60)
        if gives_up(name.lower()) in page.inner_text("#preset"):
            return
    raise AssertionError(f"{name} was clicked and the page says {page.inner_text('#preset')!r}")


def test_a_preset_sets_what_is_below_it(wan_page: Any) -> None:
    wan_page.click("#engine label:has-text('Wan')")
    wan_page.click("#wan button >> nth=0")
    wan_page.wait_for_selector("#preset")
    assert chosen(wan_page) == ("faithful", "30", "100", "none", "none")
    assert gives_up("faithful") in wan_page.inner_text("#preset")
    choose_preset(wan_page, "Draft")
    assert chosen(wan_page) == ("draft", "4", "50", "lightx2v", "none")
    wan_page.click("#steps button")  # the slider's own way back
    wan_page.wait_for_selector("#preset input[value=custom]:checked")
    assert chosen(wan_page)[1] == "30"
    choose_preset(wan_page, "Balanced")
    assert chosen(wan_page) == ("balanced", "20", "60", "none", "first-block")

    set_steps(wan_page, 24)
    wan_page.wait_for_selector("#preset input[value=custom]:checked")
    assert chosen(wan_page) == ("custom", "24", "60", "none", "first-block")
    set_steps(wan_page, 20)
    wan_page.wait_for_selector("#preset input[value=balanced]:checked")
    wan_page.click("#lora label:has-text('lightx2v')")
    wan_page.wait_for_selector("#preset input[value=custom]:checked")
    choose_preset(wan_page, "Faithful")
    assert chosen(wan_page) == ("faithful", "30", "100", "none", "none")
