"""Small loops of the built-in motions on one face of a photo."""

from pathlib import Path

import numpy as np
import pytest

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, RequestError
from fantasyportrait.images.images import load_photo
from fantasyportrait.live.motion_gallery import LOOP_FRAMES, RATE, motion_loop
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.service.animator import Animator


@pytest.fixture(scope="module")
def animator(models_dir: Path) -> Animator:
    return Animator(models_dir)


def test_loop_is_small_and_its_poster_shows_the_motion(animator: Animator, two_person: Path, tmp_path: Path) -> None:
    made = motion_loop(animator, two_person, 2, "laugh", tmp_path)
    info = probe_clip(made.video)
    assert (info.width, info.height, info.rate, info.has_sound) == (160, 160, RATE, False)
    frames = np.stack(list(read_clip(made.video, RATE)))
    assert len(frames) == LOOP_FRAMES and np.abs(frames.astype(int) - frames[0]).max() > 40
    assert made.video.stat().st_size < 40_000 and made.poster.stat().st_size < 15_000
    away = np.abs(frames.astype(int) - load_photo(made.poster).pixels).mean(axis=(1, 2, 3))
    assert away.min() < 4, "the poster is one of its frames"


def test_loop_that_is_there_is_kept_by_its_contents(animator: Animator, two_person: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(two_person.read_bytes())
    shown = tmp_path / "shown"
    shown.mkdir()
    first = motion_loop(animator, two_person, 1, "nod", shown)
    first.video.write_bytes(b"kept")
    assert motion_loop(animator, copy, 1, "nod", shown) == first and first.video.read_bytes() == b"kept"
    first.poster.unlink()
    assert motion_loop(animator, copy, 1, "nod", shown) == first and first.video.read_bytes() != b"kept"
    others = {motion_loop(animator, two_person, face, motion, shown) for face, motion in ((2, "nod"), (1, "shake"))}
    assert len(others | {first}) == 3


def test_unknown_face_and_motion_are_refused_and_cancel_leaves_nothing(
    animator: Animator, two_person: Path, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match="face is 3: the photo shows the faces 1, 2"):
        motion_loop(animator, two_person, 3, "nod", tmp_path)
    with pytest.raises(RequestError, match="did you mean nod"):
        motion_loop(animator, two_person, 1, "nood", tmp_path)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        motion_loop(animator, two_person, 1, "nod", tmp_path, cancel=cancel)
    assert not list(tmp_path.iterdir())
