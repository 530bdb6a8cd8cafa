"""Retargeting: known turns, switches, limits, mirrors, lips and lids."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from fantasyportrait.core.geometry import SimilarityTransform, euler_angles, rotation_matrix
from fantasyportrait.faces.mesh import (
    INNER_LIPS,
    LEFT_EYE,
    LEFT_IRIS,
    LID_PAIRS,
    LIP_PAIRS,
    OUTER_LIPS,
    RIGHT_EYE,
    RIGHT_IRIS,
    CanonicalFace,
    mirrored_blendshapes,
    mirrored_points,
)
from fantasyportrait.preview.region_weights import RegionWeights
from fantasyportrait.preview.retarget import Pose, Retargeter
from fantasyportrait.preview.rig import Rig, build_rig
from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS
from fantasyportrait.schema.face_motion import FaceMotion
from fantasyportrait.schema.regions import Regions
from tests.preview.scene import SIZE, Scene, still_motion

Points = NDArray[np.float64]
LIPS = np.union1d(INNER_LIPS, OUTER_LIPS)
BROWS = np.array([70, 63, 105, 66, 107, 300, 293, 334, 296, 336])
small, turn = st.floats(-3, 3), st.floats(-15, 15)


@pytest.fixture(scope="module")
def rigs(scene: Scene) -> list[Rig]:
    """The rigs of both people."""
    return [build_rig(face.landmarks, scene.canonical) for face in scene.faces]


def poses(rig: Rig, motion: FaceMotion, canonical: CanonicalFace, **options: object) -> list[Pose]:
    """The portrait in every frame."""
    retarget = Retargeter(rig, motion, canonical, **options)  # type: ignore[arg-type]
    return [retarget.pose(frame) for frame in range(len(motion))]


def levelled(pose: Pose) -> Points:
    """Landmarks (478, 3) with the head's movement taken out."""
    head = pose.head
    return (pose.landmarks - head.shift) @ head.rotation / head.scale


def openings(points: Points, pairs: NDArray[np.int64]) -> float:
    """Mean distance of pairs of points."""
    return float(np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1).mean())


def about_the_neck(rig: Rig, pitch: float, yaw: float, roll: float) -> Points:
    """The rig's face turned about its pivot."""
    return (rig.landmarks - rig.pivot) @ rotation_matrix(pitch, yaw, roll).T + rig.pivot


def test_resting_driver_leaves_portrait_unchanged(rigs: list[Rig], canonical: CanonicalFace) -> None:
    motion = still_motion(canonical.points, canonical.points[None])
    for rig in rigs:
        still = rig.axes.width * 0.001
        pose = poses(rig, motion, canonical)[0]
        np.testing.assert_allclose(pose.landmarks, rig.landmarks, atol=still)
        np.testing.assert_allclose(pose.outline, rig.outline, atol=still)
        np.testing.assert_allclose(pose.rings, rig.rings, atol=still)
        assert np.abs(euler_angles(pose.head.rotation)).max() < 1e-3


@settings(max_examples=40)
@given(turn, turn, turn, st.floats(0.8, 1.25), st.floats(-200, 200), st.floats(-4, 4))
def test_a_rigid_driver_turns_the_head_without_expression(
    scene: Scene, pitch: float, yaw: float, roll: float, scale: float, shift: float, tilt: float
) -> None:
    canonical = scene.canonical
    neutral = canonical.points @ rotation_matrix(tilt, -tilt, tilt).T * 20
    moved = canonical.points @ rotation_matrix(pitch, yaw, roll).T * 20 * scale + shift
    for face in scene.faces:
        rig = build_rig(face.landmarks, canonical)
        pose = poses(rig, still_motion(neutral, moved[None]), canonical)[0]
        np.testing.assert_allclose(levelled(pose), rig.landmarks, atol=0.001 * rig.axes.width)
        assert np.abs(euler_angles(pose.head.rotation)).max() < 20
        assert 0.8 < pose.head.scale < 1.25


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_turns_are_exact_when_small_and_limited_when_large(scene: Scene, axis: int) -> None:
    sizes = np.array([-80, -40, -20, -3, -1, 0, 1, 3, 20, 40, 80])
    angles = np.zeros((len(sizes), 3))
    angles[:, axis] = sizes
    driver = np.stack([scene.canonical.points @ rotation_matrix(*each).T for each in angles])
    rig = build_rig(scene.canonical.points * 10 + 200, scene.canonical)
    found = [
        euler_angles(pose.head.rotation)
        for pose in poses(rig, still_motion(scene.canonical.points, driver), scene.canonical, strength=2.0)
    ]
    turned = np.array(found)[:, axis]
    assert (np.diff(turned) > 0).all() and np.abs(turned).max() < 30
    np.testing.assert_allclose(turned[3:8], 2 * sizes[3:8], rtol=0.06, atol=1e-3)
    np.testing.assert_allclose(np.delete(np.array(found), axis, axis=1), 0, atol=0.01)


def test_a_turned_portrait_may_turn_less_far(scene: Scene) -> None:
    aside = scene.canonical.points @ rotation_matrix(0, 50, 0).T * 10 + 200
    driver = np.stack([scene.canonical.points @ rotation_matrix(0, 40, 0).T])
    motion = still_motion(scene.canonical.points, driver)
    front, turned = (
        euler_angles(poses(build_rig(points, scene.canonical), motion, scene.canonical)[0].head.rotation)
        for points in (scene.canonical.points * 10, aside)
    )
    assert np.linalg.norm(turned) < 0.8 * np.linalg.norm(front)


@pytest.mark.parametrize("name", ["nod", "talk", "wink"])
def test_strength_scales_expression(name: str, rigs: list[Rig], scene: Scene) -> None:
    motion = scene.motion(name, 30)
    for rig in rigs:
        none, one, two = (poses(rig, motion, scene.canonical, strength=float(s)) for s in (0, 1, 2))
        rest = rig.axes.width * 0.001
        for frame in range(0, 30, 5):
            np.testing.assert_allclose(none[frame].landmarks, rig.landmarks, atol=rest)
            once, twice = (levelled(each[frame])[BROWS] - rig.landmarks[BROWS] for each in (one, two))
            np.testing.assert_allclose(twice, 2 * once, atol=1e-6)
        turn1, turn2 = (
            np.linalg.norm([euler_angles(p.head.rotation) for p in each], axis=1).max() for each in (one, two)
        )
        assert turn1 < turn2 <= 2 * turn1 + 1e-6


def test_region_shares_add_up(canonical: CanonicalFace) -> None:
    weights = RegionWeights.of(canonical)
    np.testing.assert_allclose(weights.eyes + weights.mouth + weights.emotion, 1)
    assert min(weights.eyes.min(), weights.mouth.min(), weights.emotion.min()) > -1e-9
    assert (weights.mouth[LIPS] == 1).all() and (weights.eyes[[*RIGHT_EYE, *LEFT_IRIS]] == 1).all()
    assert (weights.emotion[BROWS] > 0.9).all()
    np.testing.assert_allclose(weights.gain(Regions()), 1)
    assert (weights.gain(Regions(eyes=False, emotion=False, mouth=False)) == 0).all()


@pytest.mark.parametrize("name", ["sing", "sleepy", "look_around"])
def test_switched_off_regions_stay_with_the_head(name: str, rigs: list[Rig], scene: Scene) -> None:
    motion = scene.motion(name, 40)
    still = {
        "mouth": LIPS,
        "eyes": np.concatenate([RIGHT_EYE, LEFT_EYE, RIGHT_IRIS, LEFT_IRIS]),
        "emotion": BROWS,
    }
    for rig in rigs:
        for region, points in still.items():
            for pose in poses(rig, motion, scene.canonical, regions=Regions(**{region: False})):
                np.testing.assert_allclose(levelled(pose)[points], rig.landmarks[points], atol=0.001 * rig.axes.width)
        for pose in poses(rig, motion, scene.canonical, regions=Regions(head=False)):
            assert pose.head.scale == 1
            np.testing.assert_array_equal(pose.head.apply(rig.landmarks), rig.landmarks)


@settings(max_examples=30)
@given(small, small, small, st.floats(-0.03, 0.03))
def test_self_driven_absolute_face_is_unchanged(
    scene: Scene, pitch: float, yaw: float, roll: float, shift: float
) -> None:
    for face in scene.faces:
        rig = build_rig(face.landmarks, scene.canonical)
        there = about_the_neck(rig, pitch, yaw, roll) + np.array([shift * rig.axes.height, 0, 0])
        pose = poses(rig, still_motion(face.landmarks, there[None]), scene.canonical, absolute=True)[0]
        assert np.linalg.norm((pose.landmarks - there)[:, :2], axis=1).mean() < 0.005 * rig.axes.width


def test_absolute_mode_takes_the_driver_s_own_pose(scene: Scene) -> None:
    neutral = scene.canonical.points @ rotation_matrix(0, 8, 0).T
    motion = still_motion(neutral, neutral[None])
    rig = build_rig(scene.canonical.points * 10 + 200, scene.canonical)
    relative, absolute = (
        euler_angles(poses(rig, motion, scene.canonical, absolute=each)[0].head.rotation) for each in (False, True)
    )
    np.testing.assert_allclose(relative, 0, atol=1e-3)
    assert 7 < absolute[1] < 8.1


@pytest.mark.parametrize("name", ["wink", "shake", "think", "talk"])
def test_mirrored_inputs_give_mirrored_result(name: str, scene: Scene) -> None:
    canonical, width = scene.canonical, SIZE[0]
    motion = scene.motion(name, 40)
    flipped = FaceMotion(
        mirrored_points(motion.neutral, 1, canonical.mirror),
        mirrored_blendshapes(motion.neutral_blendshapes),
        mirrored_points(motion.landmarks, 1, canonical.mirror),
        mirrored_blendshapes(motion.blendshapes),
    )
    for face in scene.faces:
        rig = build_rig(face.landmarks, canonical)
        other = build_rig(mirrored_points(face.landmarks, width, canonical.mirror), canonical)
        pairs = zip(poses(rig, motion, canonical), poses(other, flipped, canonical), strict=True)
        for pose, reflected in pairs:
            wanted = mirrored_points(pose.landmarks, width, canonical.mirror)
            away = np.linalg.norm((reflected.landmarks - wanted)[:, :2], axis=1)
            assert away.max() < 1e-5 * rig.axes.width


def test_built_in_motions_move_heads_as_they_say(rigs: list[Rig], scene: Scene) -> None:
    for rig in rigs:
        nod, shake = (
            np.array([euler_angles(p.head.rotation) for p in poses(rig, scene.motion(name, 80), scene.canonical)])
            for name in ("nod", "shake")
        )
        assert nod[:, 0].max() > 5 and np.ptp(nod[:, 0]) > 2 * np.ptp(nod[:, 1])
        assert shake[:, 1].max() > 6 and shake[:, 1].min() < -6
        assert np.ptp(shake[:, 1]) > 2 * np.ptp(shake[:, 0])


@pytest.mark.parametrize("name", BUILTIN_MOTIONS)
def test_no_motion_goes_too_far_or_crosses_the_lips(name: str, rigs: list[Rig], scene: Scene) -> None:
    for rig in rigs:
        for pose in poses(rig, scene.motion(name, 60), scene.canonical, strength=2.0):
            assert np.isfinite(np.concatenate([pose.landmarks, pose.outline, pose.rings])).all()
            assert np.abs(euler_angles(pose.head.rotation)).max() < 27 and 0.8 < pose.head.scale < 1.25
            down = rig.head.rotation[:, 1]
            apart = (levelled(pose)[LIP_PAIRS[:, 1]] - levelled(pose)[LIP_PAIRS[:, 0]]) @ down
            assert apart.min() > -1e-3 * rig.axes.width
            base = rig.follow == 0
            np.testing.assert_array_equal(pose.rings[base], rig.rings[base])


@pytest.mark.parametrize("name, closed", [("blink", (True, True)), ("wink", (False, True)), ("yawn", (True, True))])
def test_lids_close_fully_or_not_at_all(name: str, closed: tuple[bool, bool], rigs: list[Rig], scene: Scene) -> None:
    for rig in rigs:
        sides = []
        for pairs in (LID_PAIRS[:7], LID_PAIRS[7:]):
            rest = openings(rig.landmarks, pairs)
            sides.append(
                np.array([openings(levelled(p), pairs) for p in poses(rig, scene.motion(name, 80), scene.canonical)])
                / rest
            )
        assert (sides[0].min() < 0.1, sides[1].min() < 0.1) == closed
        assert closed[0] or sides[0].min() > 0.6
        assert max(side.max() for side in sides) < 1.3


def test_a_gaze_moves_the_irises_both_ways(rigs: list[Rig], scene: Scene) -> None:
    for rig in rigs:
        across = rig.head.rotation[:, 0]
        eye = float(np.linalg.norm(rig.landmarks[33] - rig.landmarks[133]))
        found = poses(rig, scene.motion("look_around", 100), scene.canonical)
        for iris in (RIGHT_IRIS[0], LEFT_IRIS[0]):
            moved = np.array([(levelled(pose)[iris] - rig.landmarks[iris]) @ across for pose in found]) / eye
            assert moved.min() < -0.08 and moved.max() > 0.08


def test_poses_are_available_in_any_order(rigs: list[Rig], scene: Scene) -> None:
    retarget = Retargeter(rigs[0], scene.motion("sing", 30), scene.canonical)
    once, _, again = (retarget.pose(frame) for frame in (11, 29, 11))
    np.testing.assert_array_equal(once.landmarks, again.landmarks)
    assert isinstance(once.head, SimilarityTransform)
