"""Results appear complete or not at all."""

import errno
import os
from pathlib import Path

import pytest

from fantasyportrait.core.errors import FaceError, OutputError, RequestError
from fantasyportrait.media.result_files import (
    OutputPaths,
    check_output_paths,
    commit_outputs,
    free_path,
    output_paths,
    staging_folder,
)


def test_three_files_beside_one_another() -> None:
    paths = output_paths(Path("a/out.v2.mp4"))
    assert paths.side_by_side == Path("a/out.v2.mp4.side-by-side.mp4")
    assert paths.request == Path("a/out.v2.mp4.request.json")
    assert output_paths(Path("frames")).request == Path("frames.request.json")


@pytest.mark.parametrize("name", ["out.avi", "out.mp4.txt", "."])
def test_an_unknown_suffix_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=r"\.mp4, \.webm or \.gif"):
        output_paths(Path(name))


def test_output_place_is_checked(tmp_path: Path) -> None:
    video = tmp_path / "out.mp4"
    with pytest.raises(OutputError, match="does not exist"):
        check_output_paths(output_paths(tmp_path / "none" / "out.mp4"), [])
    with pytest.raises(RequestError, match="overwrite its input"):
        check_output_paths(output_paths(video), [tmp_path / "." / "out.mp4"])
    with pytest.raises(RequestError, match="overwrite its input"):
        check_output_paths(output_paths(tmp_path / "a.mp4"), [tmp_path / "a.mp4.side-by-side.mp4"])
    video.mkdir()
    with pytest.raises(OutputError, match="not empty"):
        check_output_paths(output_paths(video), [])
    (tmp_path / "frames").mkdir()
    check_output_paths(output_paths(tmp_path / "frames"), [])
    (tmp_path / "frames" / "1.png").touch()
    with pytest.raises(OutputError, match="not empty"):
        check_output_paths(output_paths(tmp_path / "frames"), [])


def test_staging_folder_is_always_removed(tmp_path: Path) -> None:
    paths = output_paths(tmp_path / "out.mp4")
    with pytest.raises(FaceError), staging_folder(paths) as folder:
        (folder / "half").write_text("x")
        raise FaceError("none")
    with pytest.raises(OutputError, match="No space left"), staging_folder(paths) as folder:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="cannot write"), staging_folder(output_paths(tmp_path / "no" / "out.mp4")):
        pass


def test_result_replaces_previous_files_together(tmp_path: Path) -> None:
    paths = output_paths(tmp_path / "out.mp4")
    commit_outputs(_made(tmp_path / "first", paths, side=True), paths)
    assert _texts(paths) == ["first", "first", "first"]
    commit_outputs(_made(tmp_path / "second", paths, side=False), paths)
    assert _texts(paths) == ["second", None, "second"], "a side by side of another video is not left"


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_previous_result_survives_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, links: bool
) -> None:
    paths = output_paths(tmp_path / "out.mp4")
    commit_outputs(_made(tmp_path / "first", paths, side=True), paths)
    second = _made(tmp_path / "second", paths, side=True)
    replace, calls = os.replace, []

    def fail(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == step:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        replace(source, target)

    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "replace", fail)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        commit_outputs(second, paths)
    assert _texts(paths) == ["first", "first", "first"]


def test_failed_first_result_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = output_paths(tmp_path / "out.mp4")
    made = _made(tmp_path / "made", paths, side=True)
    paths.request.mkdir()
    (paths.request / "a").touch()
    with pytest.raises(OSError):
        commit_outputs(made, paths)
    assert _texts(paths)[:2] == [None, None]


def test_frame_folder_accepts_one_run(tmp_path: Path) -> None:
    paths = output_paths(tmp_path / "frames")
    for name in ("first", "second"):
        made = tmp_path / name
        (made / "frames").mkdir(parents=True)
        (made / "frames" / f"{name}.png").touch()
        (made / paths.request.name).write_text(name)
    paths.video.mkdir()
    commit_outputs(tmp_path / "first", paths)
    with pytest.raises(OutputError, match="filled by another run meanwhile"):
        commit_outputs(tmp_path / "second", paths)
    assert [path.name for path in paths.video.iterdir()] == ["first.png"] and paths.request.read_text() == "first"


@pytest.mark.parametrize("name", ["a" * 251 + ".mp4", "é" * 125 + "a.mp4", "\U0001f600" * 62 + "abc.mp4", "n" * 255])
def test_names_of_255_bytes_have_companions(tmp_path: Path, name: str) -> None:
    assert len(os.fsencode(name)) == 255
    paths = output_paths(tmp_path / name)
    for path in (paths.side_by_side, paths.request):
        assert len(os.fsencode(path.name)) <= 255 and path.name.endswith((".side-by-side.mp4", ".request.json"))
        path.name.encode("utf-8")
    other = output_paths(tmp_path / ("b" + name[1:] if name.isascii() else "ab" + name[1:]))
    assert {other.request, other.side_by_side}.isdisjoint({paths.request, paths.side_by_side})
    with staging_folder(paths) as made:
        for path in (paths.video, paths.side_by_side, paths.request):
            (made / path.name).write_text("x")
        commit_outputs(made, paths)
    assert _texts(paths) == ["x", "x", "x"]


def test_longer_names_are_refused() -> None:
    with pytest.raises(RequestError, match="has 256 bytes: give one of at most 255"):
        output_paths(Path("a" * 252 + ".mp4"))


def test_existing_default_name_gets_a_number(tmp_path: Path) -> None:
    video = tmp_path / "me.animated.mp4"
    assert free_path(video) == video
    video.touch()
    assert free_path(video) == tmp_path / "me.animated-2.mp4" and free_path(video, overwrite=True) == video
    (tmp_path / "me.animated-2.mp4").touch()
    assert free_path(video) == tmp_path / "me.animated-3.mp4"
    assert len(os.fsencode(free_path(tmp_path / ("é" * 125 + ".animated.mp4")).name)) <= 255


def _made(folder: Path, paths: OutputPaths, side: bool) -> Path:
    """A folder with the files of a result, which say its name."""
    folder.mkdir()
    for path in (paths.video, paths.request, *([paths.side_by_side] if side else [])):
        (folder / path.name).write_text(folder.name)
    return folder


def _texts(paths: OutputPaths) -> list[str | None]:
    files = (paths.video, paths.side_by_side, paths.request)
    return [path.read_text() if path.is_file() else None for path in files]
