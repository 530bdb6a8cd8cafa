"""The diffusion engine in a real Chromium, with a tiny model: every part real, only the pictures are noise."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fantasyportrait.images.images import load_photo, save_image
from tests.ui.browsing import (
    RUN_MS,
    animate,
    choose,
    choose_example,
    choose_kind,
    choose_photo,
    chosen,
    enter,
    error_text,
    give_clip,
    open_options,
    record,
    recorded,
    set_seconds,
    wait_for_result,
)
from tests.ui.serving import Served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, two_person: Path) -> Path:
    """The faces of the bundled picture in the middle of a wide strip: 720 x 96 pixels are quick."""
    path = tmp_path_factory.mktemp("photo") / "strip.png"
    pixels = np.pad(load_photo(two_person).pixels, ((0, 0), (800, 800), (0, 0)), mode="edge")
    save_image(path, np.ascontiguousarray(pixels[50:360]))
    return path


def set_steps(page: Any, steps: int) -> None:
    """Choose Wan with so many steps."""
    choose(page, "engine", "wan")
    open_options(page)
    page.wait_for_selector("#option-num-inference-steps")
    page.eval_on_selector(
        "#option-num-inference-steps",
        "(field, steps) => { field.value = steps; field.dispatchEvent(new Event('input', {bubbles: true})); }",
        str(steps),
    )
    page.wait_for_selector("input[name=preset][value=custom]:checked", state="attached")


def test_wan_animates_photo_with_progress_and_preview(
    wan_page: Any, photo: Path, clips: dict[str, Path], tiny_model: Path
) -> None:
    choose_photo(wan_page, photo, faces=2)
    give_clip(wan_page, 1, clips["one"])
    choose_kind(wan_page, 2, "free")
    set_steps(wan_page, 6)
    set_seconds(wan_page, 0.16)
    record(wan_page, ".job-progress .preview")
    animate(wan_page)
    result = wait_for_result(wan_page)
    assert result["moved"] and result["error"] is None and (result["width"], result["height"]) == (720, 96)
    assert recorded(wan_page)
    assert str(tiny_model.parent) not in wan_page.content()


def test_stop_while_sampling_keeps_settings(wan_page: Any, wan_app: Served, photo: Path) -> None:
    before = set(wan_app.results.rglob("fantasyportrait.mp4"))
    choose_photo(wan_page, photo, faces=2)
    choose_kind(wan_page, 2, "free")
    set_steps(wan_page, 60)
    enter(wan_page, "#option-seed", "77")
    enter(wan_page, "#option-prompt", "two people talk")
    set_seconds(wan_page, 0.8)
    record(wan_page, ".job-progress .bar p")
    animate(wan_page)
    wan_page.wait_for_function("window.recorded.some(text => /Sampling: step/.test(text))", timeout=RUN_MS)
    # At once: a click waits for two frames of the page, which may be busy until the end of the work.
    wan_page.dispatch_event(".job-progress .stop", "click")
    wan_page.wait_for_selector(".job-progress", state="detached", timeout=RUN_MS)
    assert chosen(wan_page, "engine") == "wan" and chosen(wan_page, "kind-2") == "free"
    fields = ("#option-num-inference-steps", "#option-seed", "#option-prompt", "#seconds")
    assert [wan_page.input_value(place) for place in fields] == ["60", "77", "two people talk", "0.8"]
    assert set(wan_app.results.rglob("fantasyportrait.mp4")) == before


def test_preset_sets_its_options(wan_page: Any) -> None:
    choose_example(wan_page)
    choose(wan_page, "engine", "wan")
    open_options(wan_page)
    wan_page.wait_for_selector("#option-num-inference-steps")
    values = {}
    for preset in ("draft", "balanced", "faithful"):
        choose(wan_page, "preset", preset)
        wan_page.wait_for_selector(f"input[name=preset][value={preset}]:checked", state="attached")
        wan_page.wait_for_timeout(0)
        values[preset] = wan_page.input_value("#option-num-inference-steps"), chosen(wan_page, "option-lora")
    assert values == {"draft": ("4", "lightx2v"), "balanced": ("20", "none"), "faithful": ("30", "none")}
    set_steps(wan_page, 24)
    assert chosen(wan_page, "preset") == "custom"


def test_settings_survive_another_photo_and_engine(wan_page: Any, two_person: Path) -> None:
    choose_example(wan_page)
    set_steps(wan_page, 12)
    enter(wan_page, "#option-prompt", "two people sing")
    choose_kind(wan_page, 2, "free")
    choose_photo(wan_page, two_person, faces=2)
    choose(wan_page, "engine", "preview")
    wan_page.wait_for_selector("#option-prompt", state="detached")
    choose(wan_page, "engine", "wan")
    wan_page.wait_for_selector("#option-prompt")
    assert wan_page.input_value("#option-num-inference-steps") == "12"
    assert wan_page.input_value("#option-prompt") == "two people sing" and chosen(wan_page, "kind-2") == "free"


def test_engines_refuse_what_they_cannot_render(wan_page: Any) -> None:
    choose_example(wan_page)
    for face in (1, 2):
        choose_kind(wan_page, face, "free")
    choose(wan_page, "engine", "preview")
    animate(wan_page)
    assert "model" in error_text(wan_page, ".run")
    choose(wan_page, "engine", "wan")
    set_seconds(wan_page, 61)
    animate(wan_page)
    wan_page.wait_for_selector(".run [role=alert] >> text=/60/")
