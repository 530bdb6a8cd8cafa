"""The scene in a real Chromium: faces as buttons, their cards, added and removed faces."""

from pathlib import Path
from typing import Any

import pytest

from tests.ui.browsing import (
    choose_kind,
    choose_motion,
    choose_photo,
    chosen,
    wait_for_faces,
    wait_for_loop,
)

pytestmark = pytest.mark.browser

FOCUSED = "document.activeElement.id"


def test_face_button_leads_to_its_card(scene_page: Any) -> None:
    for face in (2, 1):
        scene_page.click(f"#face-{face}")
        assert scene_page.evaluate(FOCUSED) == f"card-{face}"
    scene_page.focus("#face-2")
    scene_page.keyboard.press("Enter")
    assert scene_page.evaluate(FOCUSED) == "card-2"


def test_face_button_names_what_its_face_plays(scene_page: Any) -> None:
    choose_kind(scene_page, 1, "motion")
    choose_motion(scene_page, 1, "nod")
    scene_page.wait_for_selector("#face-1[aria-label*='1'][aria-label*='nod' i]")
    choose_kind(scene_page, 1, "still")
    scene_page.wait_for_selector("#face-1[aria-label*='still' i]")
    assert scene_page.locator("input[name=motion-1]").count() == 0


def test_choice_of_one_face_leaves_the_other(scene_page: Any) -> None:
    choose_kind(scene_page, 2, "motion")
    choose_motion(scene_page, 2, "smile")
    choose_kind(scene_page, 1, "still")
    choose_kind(scene_page, 1, "motion")
    choose_motion(scene_page, 1, "wink")
    assert chosen(scene_page, "motion-2") == "smile" and chosen(scene_page, "motion-1") == "wink"


def test_new_motion_gives_new_loop(scene_page: Any) -> None:
    choose_kind(scene_page, 1, "motion")
    choose_motion(scene_page, 1, "nod")
    wait_for_loop(scene_page)
    before = scene_page.get_attribute(".picture .layer", "src")
    choose_motion(scene_page, 1, "shake")
    scene_page.wait_for_function(
        "before => (document.querySelector('.picture .layer')?.src ?? before).endsWith(before) === false",
        arg=before,
    )


def test_boxes_lie_on_faces_at_each_width(scene_page: Any) -> None:
    inside = """() => {
        const picture = document.querySelector('.picture').getBoundingClientRect();
        return [...document.querySelectorAll('.picture .face')].map(face => {
            const box = face.getBoundingClientRect();
            return [(box.left + box.right) / 2 - picture.left, (box.top + box.bottom) / 2 - picture.top]
                .map((value, axis) => value / (axis ? picture.height : picture.width));
        });
    }"""
    places = []
    for width in (390, 820, 1280):
        scene_page.set_viewport_size({"width": width, "height": 844})
        assert scene_page.evaluate("document.documentElement.scrollWidth") <= width
        places.append(scene_page.evaluate(inside))
    for place in places:
        assert place[0][0] < 0.5 < place[1][0]
        assert place == [pytest.approx(each, abs=0.02) for each in places[0]]


def test_missed_face_is_added_by_mouse_and_removed(page: Any, two_person: Path) -> None:
    choose_photo(page, two_person, faces=2)
    face = page.locator("#face-1").bounding_box()
    page.click(".face-remove >> nth=0", force=True)
    wait_for_faces(page, 1)
    page.click("text=Add a face")
    page.wait_for_selector(".drawing")
    page.mouse.move(face["x"], face["y"])
    page.mouse.down()
    page.mouse.move(face["x"] + face["width"] / 2, face["y"] + face["height"] / 2)
    page.mouse.move(face["x"] + face["width"], face["y"] + face["height"])
    page.mouse.up()
    wait_for_faces(page, 2)
    assert page.locator(".card").count() == 2


def test_missed_face_is_added_and_removed_by_keyboard(page: Any, two_person: Path) -> None:
    choose_photo(page, two_person, faces=2)
    face = page.evaluate("""() => {
        const [box, all] = ['#face-1', '.picture'].map(place => document.querySelector(place).getBoundingClientRect());
        return [(box.left - all.left) / all.width, (box.top - all.top) / all.height];
    }""")
    page.focus(".face-remove >> nth=0")
    page.keyboard.press("Enter")
    wait_for_faces(page, 1)
    page.focus("text=Add a face")
    page.keyboard.press("Enter")
    page.wait_for_selector(".drawing:focus")
    # The box begins at 0.4, 0.3 and moves by 0.02.
    for key, steps in (("ArrowLeft", round((0.4 - face[0]) / 0.02)), ("ArrowUp", round((0.3 - face[1]) / 0.02))):
        opposite = {"ArrowLeft": "ArrowRight", "ArrowUp": "ArrowDown"}[key]
        for _ in range(abs(steps)):
            page.keyboard.press(key if steps > 0 else opposite)
    page.keyboard.press("Enter")
    wait_for_faces(page, 2)


def test_escape_ends_drawing(scene_page: Any) -> None:
    scene_page.click("text=Add a face")
    scene_page.wait_for_selector(".drawing:focus")
    scene_page.keyboard.press("Escape")
    scene_page.wait_for_selector(".drawing", state="detached")
    assert scene_page.locator(".picture .face").count() == 2
