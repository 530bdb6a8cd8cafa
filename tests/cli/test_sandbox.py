"""With --sandbox files are decoded in child processes, with equal results."""

from pathlib import Path

import pytest

from fantasyportrait.cli.main import main
from fantasyportrait.images.images import load_photo
from tests.factories_media import ClipSpec, counting, make_clip


def test_sandbox_faces_equal_direct_faces(
    two_person: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for flags in ([], ["--sandbox"]):
        assert main(["faces", str(two_person), "--json", *flags]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


def test_sandbox_video_equals_direct_video(two_person: Path, models_dir: Path, tmp_path: Path) -> None:
    for folder, flags in (("here", []), ("there", ["--sandbox"])):
        place = tmp_path / folder / "out"
        place.parent.mkdir()
        words = ["animate", str(two_person), "--cast", "1=motion:nod", "--duration", "0.2", "--no-side-by-side"]
        assert main([*words, "-o", str(place), *flags]) == 0
    here, there = (sorted((tmp_path / folder / "out").iterdir()) for folder in ("here", "there"))
    assert len(here) == 5
    for ours, theirs in zip(here, there, strict=True):
        assert (load_photo(ours).pixels == load_photo(theirs).pixels).all()


@pytest.mark.parametrize("flags", [[], ["--sandbox"]])
def test_sandbox_refused_clip_exits_with_3(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = ClipSpec("mpeg4", stamps=[59_000 * i for i in range(12)], options=())
    path = make_clip(tmp_path / "gaps.mp4", [counting(i) for i in range(12)], spec)
    assert main(["faces", str(path), *flags]) == 3
    said = capsys.readouterr().err
    assert "fewer than one in 2 s" in said and len(said.strip().splitlines()) == 1
