"""Results appear complete or not at all."""

import errno
import os
from pathlib import Path

import pytest

from fantasyportrait.core.errors import FaceError, OutputError, RequestError
from fantasyportrait.service.output import check_place, output_paths, publish, workplace


def test_three_files_beside_one_another() -> None:
    paths = output_paths(Path("a/out.v2.mp4"))
    assert paths.side_by_side == Path("a/out.v2.side-by-side.mp4")
    assert paths.request == Path("a/out.v2.request.json")
    assert output_paths(Path("frames")).request == Path("frames.request.json")


@pytest.mark.parametrize("name", ["out.avi", "out.mp4.txt", "."])
def test_an_unknown_suffix_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=r"\.mp4, \.webm or \.gif"):
        output_paths(Path(name))


def test_the_place_is_checked(tmp_path: Path) -> None:
    video = tmp_path / "out.mp4"
    with pytest.raises(OutputError, match="does not exist"):
        check_place(output_paths(tmp_path / "none" / "out.mp4"), [])
    with pytest.raises(RequestError, match="overwrite its input"):
        check_place(output_paths(video), [tmp_path / "." / "out.mp4"])
    with pytest.raises(RequestError, match="overwrite its input"):
        check_place(output_paths(tmp_path / "a.mp4"), [tmp_path / "a.side-by-side.mp4"])
    video.mkdir()
    with pytest.raises(OutputError, match="not empty"):
        check_place(output_paths(video), [])
    (tmp_path / "frames").mkdir()
    check_place(output_paths(tmp_path / "frames"), [])
    (tmp_path / "frames" / "1.png").touch()
    with pytest.raises(OutputError, match="not empty"):
        check_place(output_paths(tmp_path / "frames"), [])


def test_the_workplace_goes_whatever_happens(tmp_path: Path) -> None:
    paths = output_paths(tmp_path / "out.mp4")
    with pytest.raises(FaceError), workplace(paths) as folder:
        (folder / "half").write_text("x")
        raise FaceError("none")
    with pytest.raises(OutputError, match="No space left"), workplace(paths) as folder:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="cannot write"), workplace(output_paths(tmp_path / "no" / "out.mp4")):
        pass


def test_publishing_moves_all_or_none(tmp_path: Path) -> None:
    made, final = tmp_path / "made", tmp_path / "final"
    made.mkdir()
    final.mkdir()
    for name in ("a", "b"):
        (made / name).write_text(name)
    (made / "frames").mkdir()
    (final / "frames").mkdir()
    publish([(made / "frames", final / "frames"), (made / "a", final / "a")])
    assert (final / "a").read_text() == "a"
    with pytest.raises(OSError, match="gone"):
        publish([(made / "b", final / "b"), (made / "gone", final / "gone")])
    assert sorted(path.name for path in final.iterdir()) == ["a", "frames"]
