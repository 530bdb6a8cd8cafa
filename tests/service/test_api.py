"""The functions of the top level."""

from pathlib import Path

import pytest

import fantasyportrait as fp
from fantasyportrait.images.images import load_photo
from tests.conftest import Inputs


def test_animate_function_returns_result(inputs: Inputs, models_dir: Path, tmp_path: Path) -> None:
    seen: list[object] = []
    result = fp.animate(
        str(inputs.photo), ["1=motion:nod"], str(tmp_path / "out.mp4"),
        models_dir=str(models_dir), on_event=seen.append, duration=0.2, rate=10, side_by_side=False,
    )  # fmt: skip
    assert (result.video, result.frames) == (tmp_path / "out.mp4", 2)
    assert any(isinstance(event, fp.events.Stage) for event in seen)


def test_animate_names_unknown_option(tmp_path: Path) -> None:
    with pytest.raises(fp.RequestError, match=r"'durration' is no option of a request \(did you mean duration\?\)"):
        fp.animate("photo.png", ["1=still"], tmp_path / "out.mp4", durration=3)


def test_cancel_token_stops_animate(inputs: Inputs, tmp_path: Path) -> None:
    token = fp.CancelToken()
    token.cancel()
    with pytest.raises(fp.Cancelled):
        fp.animate(inputs.photo, "1=motion:nod", tmp_path / "out.mp4", cancel=token)
    assert list(tmp_path.iterdir()) == []


def test_faces_of_file_equal_faces_of_pixels(inputs: Inputs) -> None:
    of_file, of_pixels = fp.faces(str(inputs.pair)), fp.faces(load_photo(inputs.pair).pixels)
    assert [face.box.tolist() for face in of_file] == [face.box.tolist() for face in of_pixels]
    with pytest.raises(fp.RequestError, match="did you mean centerface"):
        fp.faces(inputs.pair, detector="center")


@pytest.mark.parametrize(("span", "name"), [({"start_s": "1"}, "start_s is '1'"), ({"end_s": -1}, "end_s is -1")])
def test_invalid_clip_range_is_named(inputs: Inputs, span: dict[str, float], name: str) -> None:
    with pytest.raises(fp.RequestError, match=name):
        fp.Animator().inputs.tracks(inputs.talking, **span)  # type: ignore[arg-type]
