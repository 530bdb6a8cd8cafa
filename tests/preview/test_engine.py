"""Frames of the preview engine: pixels that move, pixels that must not, laziness, depth order."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled
from fantasyportrait.preview.engine import SceneRenderer, render
from fantasyportrait.preview.heads import MovingHead
from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face import MaskedFace
from fantasyportrait.schema.face_motion import FaceMotion
from fantasyportrait.schema.regions import Regions
from tests.preview.scene import Scene, gap, made_face


@pytest.fixture(scope="module")
def crowd(scene: Scene) -> tuple[Scene, MaskedFace, MaskedFace]:
    """Two overlapping heads, far and near: the second person's, 1.3 times as large, over the edge of the first's."""
    far, near = scene.faces
    scale, shift = 1.3, np.array([-270.0, -25.0])
    ys, xs = np.mgrid[: scene.photo.shape[0], : scene.photo.shape[1]]
    source_x, source_y = ((xs - shift[0]) / scale).round().astype(int), ((ys - shift[1]) / scale).round().astype(int)
    inside = (source_x < scene.photo.shape[1]) & (source_y < scene.photo.shape[0])
    source_x, source_y = np.where(inside, source_x, 0), np.where(inside, source_y, 0)
    mask = np.where(inside, near.mask[source_y, source_x], 0).astype(np.uint8)
    share = mask[..., None] / 255
    photo = np.round(scene.photo * (1 - share) + scene.photo[source_y, source_x] * share).astype(np.uint8)
    landmarks = near.landmarks * np.float32(scale)
    landmarks[:, :2] += shift
    behind = replace(far, mask=np.minimum(far.mask, 255 - mask))
    front = replace(near, landmarks=landmarks, box=near.box * scale + np.tile(shift, 2), mask=mask)
    return replace(scene, photo=photo, faces=(behind, front)), behind, front


def acts(scene: Scene, *names: str, count: int = 12) -> list[DrivenFace[FaceMotion]]:
    """Parts for both people."""
    return [DrivenFace(face, scene.motion(name, count)) for face, name in zip(scene.faces, names, strict=True)]


@pytest.mark.parametrize("name", BUILTIN_MOTIONS)
def test_frames_keep_photo_shape_and_background(name: str, scene: Scene) -> None:
    frames = scene.frames(acts(scene, name, name, count=6), 6)
    assert frames.dtype == np.uint8 and frames.shape == (6, *scene.photo.shape)
    near = np.any([scene.neighbourhood(face) for face in scene.faces], axis=0)
    for frame in frames:
        np.testing.assert_array_equal(frame[~near], scene.photo[~near])
    assert (frames != frames[0]).any()


def test_still_faces_are_the_photo_exactly(scene: Scene) -> None:
    still = [DrivenFace(scene.faces[0]), DrivenFace(scene.faces[1], scene.motion("shake", 4), strength=0.0)]
    for driven in (still, still[:1], []):
        for frame in scene.frames(driven, 4):
            np.testing.assert_array_equal(frame, scene.photo)


def test_rows_choose_the_motion_s_frames(scene: Scene) -> None:
    motion, rows = scene.motion("talk", 12), np.array([3, 0, 3, 7, 3])
    played = scene.frames([DrivenFace(scene.faces[0], motion, rows=rows)], len(rows))
    np.testing.assert_array_equal(played, scene.frames([DrivenFace(scene.faces[0], motion)], 12)[rows])


def test_a_resting_motion_hardly_changes_the_photo(scene: Scene) -> None:
    driven = [DrivenFace(face, scene.motion("idle", 1)) for face in scene.faces]
    away = np.abs(scene.frames(driven, 1)[0].astype(int) - scene.photo)
    assert away.mean() < 0.6 and np.percentile(away, 99) < 12


def test_motion_of_face_2_does_not_change_face_1(scene: Scene) -> None:
    one, other = (scene.frames(acts(scene, "talk", name), 12) for name in ("laugh", "look_around"))
    alone = scene.frames([acts(scene, "talk", "talk")[0]], 12)
    far = ~scene.neighbourhood(scene.faces[1])
    left, top, right, bottom = scene.faces[0].box.astype(int)
    assert far[top:bottom, left:right].all()
    assert (one != other).any()
    np.testing.assert_array_equal(one[:, far], other[:, far])
    np.testing.assert_array_equal(one[:, far], alone[:, far])


def test_render_is_deterministic_and_order_independent(scene: Scene) -> None:
    driven = acts(scene, "sing", "wink")
    once = scene.frames(driven, 12)
    np.testing.assert_array_equal(once, scene.frames(driven, 12))
    np.testing.assert_array_equal(once, scene.frames(driven[::-1], 12))


def test_photo_and_frames_do_not_share_memory(scene: Scene) -> None:
    before = scene.photo.copy()
    stream = render(scene.photo, acts(scene, "nod", "nod"), 3, scene.canonical)
    first = next(stream)
    kept = first.copy()
    first[:] = 0
    second = next(stream)
    np.testing.assert_array_equal(scene.photo, before)
    assert second.any() and kept.any() and second is not first


def test_frames_are_lazy_and_cancellable(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    many = 20_000
    drawn: list[int] = []
    draw = MovingHead.draw

    def counted(head: MovingHead, canvas: NDArray[np.uint8], row: int) -> Any:
        drawn.append(row)
        return draw(head, canvas, row)

    monkeypatch.setattr(MovingHead, "draw", counted)
    driven = [DrivenFace(face, scene.motion("smile", 20), rows=np.arange(many) % 20) for face in scene.faces]
    token = CancelToken()
    stream = render(scene.photo, driven, many, scene.canonical, token)
    next(stream)
    next(stream)
    assert drawn == [0, 0, 1, 1]
    token.cancel()
    with pytest.raises(Cancelled):
        next(stream)


@pytest.mark.parametrize(("name", "strength", "absolute"), [("shake", 2.0, True), ("yawn", 1.0, False)])
def test_head_drawn_in_part_of_its_window_has_pixels_of_whole(
    crowd: tuple[Scene, MaskedFace, MaskedFace],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    strength: float,
    absolute: bool,
) -> None:
    scene, behind, front = crowd
    motion = scene.motion(name, 24)
    driven = [DrivenFace(face, motion, strength, absolute=absolute) for face in (behind, front)]
    part = scene.frames(driven, 24)
    monkeypatch.setattr(MovingHead, "_window", lambda self, target, shape: self.layer.window)
    np.testing.assert_array_equal(part, scene.frames(driven, 24))


def test_renderer_with_kept_rows_draws_same_pixels_in_any_order(scene: Scene) -> None:
    driven = acts(scene, "talk", "shake")
    expected = scene.frames(driven, 12)
    renderer = SceneRenderer(scene.photo, driven, scene.canonical, kept_bytes=1 << 26)
    for row in (7, 0, 7, 3, 11, 0, 7):
        np.testing.assert_array_equal(renderer.draw({1: row, 2: row}), expected[row])


@pytest.mark.parametrize("own", ["nod", None])
def test_override_drives_one_face_until_it_ends(scene: Scene, own: str | None) -> None:
    left, right = scene.faces
    other = DrivenFace(right, scene.motion("talk", 12))
    playing = [DrivenFace(left, None if own is None else scene.motion(own, 12)), other]
    renderer = SceneRenderer(scene.photo, playing, scene.canonical, kept_bytes=1 << 26)
    before = renderer.draw({1: 5, 2: 5})
    for name in ("yawn", "smile"):
        driven = DrivenFace(left, scene.motion(name, 12))
        renderer.override(driven)
        alone = [replace(each, rows=np.array([row])) for each, row in ((driven, 9), (other, 5))]
        (expected,) = scene.frames(alone, 1)
        np.testing.assert_array_equal(renderer.draw({1: 9, 2: 5}), expected)
    renderer.override(None)
    np.testing.assert_array_equal(renderer.draw({1: 5, 2: 5}), before)
    with pytest.raises(ValueError, match="face 1 has no motion"):
        renderer.override(DrivenFace(left))


def test_regions_switched_off_leave_their_pixels(scene: Scene) -> None:
    face = scene.faces[1]
    motion = scene.motion("yawn", 40)
    widest = gap(motion.landmarks).argmax(keepdims=True)
    x, y = face.landmarks[13, :2].astype(int)
    mouth = np.s_[0, y - 12 : y + 18, x - 14 : x + 14]
    still = Regions(head=False, eyes=False, emotion=False, mouth=False)
    shut, open_ = (
        scene.frames([DrivenFace(face, motion, regions=each, rows=widest)], 1)[mouth].astype(int)
        for each in (still, replace(still, mouth=True))
    )
    rest = scene.photo[mouth[1:]].astype(int)
    assert np.abs(shut - rest).mean() < 2 and np.abs(open_ - rest).mean() > 5


def test_the_nearer_head_stays_in_front(crowd: tuple[Scene, MaskedFace, MaskedFace]) -> None:
    scene, behind, front = crowd
    assert (scene.neighbourhood(behind) & (front.mask > 0)).any(), "they overlap"
    solid = front.mask == 255
    motion = scene.motion("shake", 30)
    for driven in ([DrivenFace(behind, motion), DrivenFace(front)], [DrivenFace(front), DrivenFace(behind, motion)]):
        frames = scene.frames(driven, 30)
        np.testing.assert_array_equal(frames[:, solid], np.broadcast_to(scene.photo[solid], frames[:, solid].shape))
        assert (frames[:, behind.mask == 255] != scene.photo[behind.mask == 255]).any()


def test_the_nearer_head_moves_before_a_still_one(crowd: tuple[Scene, MaskedFace, MaskedFace]) -> None:
    scene, behind, front = crowd
    motion = scene.motion("nod", 20)
    frames = scene.frames([DrivenFace(front, motion), DrivenFace(behind)], 20)
    x, y = front.landmarks[4, :2].astype(int)
    assert frames[:, y - 5 : y + 5, x - 5 : x + 5].std(axis=0).max() > 3
    untouched = (behind.mask == 255) & ~scene.neighbourhood(front)
    np.testing.assert_array_equal(frames[7][untouched], scene.photo[untouched])


@pytest.mark.parametrize("corner", [(0, 0), (200, 0), (0, 130), (200, 130), (100, 60)])
def test_heads_over_the_photo_s_edge_are_drawn(corner: tuple[int, int], scene: Scene) -> None:
    photo = np.ascontiguousarray(scene.photo[:131, :201])
    landmarks = scene.canonical.points * 7 + np.array([*corner, 0], np.float32)
    face = made_face(landmarks.astype(np.float32), photo.shape[:2])
    for absolute in (False, True):
        driven = DrivenFace(face, scene.motion("laugh", 8), 2.0, absolute=absolute)
        frames: list[NDArray[np.uint8]] = list(render(photo, [driven], 8, scene.canonical))
        assert len(frames) == 8 and all(frame.shape == photo.shape for frame in frames)


def test_cropped_head_leaves_no_gap_at_photo_edge(scene: Scene) -> None:
    left, top, right, bottom = scene.faces[0].box.astype(int)
    photo = np.ascontiguousarray(scene.photo[top - 8 : bottom + 15, left - 8 : right + 8])
    face = replace(
        scene.faces[0],
        landmarks=scene.faces[0].landmarks - np.array([left - 8, top - 8, 0], np.float32),
        mask=scene.faces[0].mask[top - 8 : bottom + 15, left - 8 : right + 8],
    )
    frames = list(render(photo, [DrivenFace(face, scene.motion("nod", 40))], 40, scene.canonical))
    hair = face.mask[0] == 255
    assert hair.sum() > 20
    assert max(np.abs(frame[0, hair].astype(int) - photo[0, hair]).mean() for frame in frames) < 25


@pytest.mark.parametrize("name", ["idle", "talk", "shake"])
def test_neighbouring_frames_differ_little_and_evenly(name: str, scene: Scene) -> None:
    frames = scene.frames(acts(scene, name, name, count=80), 80).astype(np.float32)
    near = scene.neighbourhood(scene.faces[0]) | scene.neighbourhood(scene.faces[1])
    change = np.abs(np.diff(frames[:, near], axis=0)).mean(axis=(1, 2))
    assert change.max() < {"idle": 1.5, "talk": 3.0, "shake": 6.0}[name]
    # A flash is one or two changes much larger than those before and after.
    around = np.maximum(change[:-3], change[3:]) + 0.1
    assert (np.minimum(change[1:-2], change[2:-1]) / around).max() < 4
    assert (change[1:-1] / (np.maximum(change[:-2], change[2:]) + 0.1)).max() < 3
