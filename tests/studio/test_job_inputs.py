"""The files of a job under the visitor's names."""

import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.studio.job_inputs import INPUTS, free_name, link_inputs, plain_text

NONE = Path("/nonexistent")


@given(st.text(max_size=300), st.sampled_from(["", ".mp4", ".png"]))
def test_free_name_is_one_part_of_path_with_suffix_of_file(name: str, suffix: str) -> None:
    free = free_name(name, suffix, NONE)
    assert (Path(free).name == free and Path(free).suffix.lower() == suffix) or not suffix
    assert not free.startswith(".") and "/" not in free and "\0" not in free and len(os.fsencode(free)) <= 255


def test_inputs_have_names_of_visitor_and_two_of_one_name_differ(tmp_path: Path) -> None:
    for name in ("a1.png", "b2.mp4", "c3.mp4"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    request = AnimationRequest(
        tmp_path / "a1.png", [f"1={tmp_path / 'b2.mp4'}", f"2={tmp_path / 'c3.mp4'}", f"3={tmp_path / 'b2.mp4'}"]
    )
    names = {"a1.png": "Our family.PNG", "b2.mp4": "talk.mp4", "c3.mp4": "talk.mp4"}
    linked = link_inputs(request, names, tmp_path)
    assert [path.name for path in linked.files] == ["Our family.png", "talk.mp4", "talk-2.mp4", "talk.mp4"]
    assert [path.read_text(encoding="utf-8") for path in linked.files] == ["a1.png", "b2.mp4", "c3.mp4", "b2.mp4"]
    text = f"{linked.files[1]} is short"
    assert plain_text(text, tmp_path) == "talk.mp4 is short"


def test_inputs_are_copied_where_system_has_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no links")

    (tmp_path / "a.png").write_text("photo", encoding="utf-8")
    monkeypatch.setattr(os, "link", refuse)
    linked = link_inputs(AnimationRequest(tmp_path / "a.png", ["1=motion:nod"]), {}, tmp_path)
    assert linked.files == (tmp_path / INPUTS / "a.png",)
    assert linked.files[0].read_text(encoding="utf-8") == "photo"
