"""The transformer with motion attention gives the public code's velocities: one face, two, three by the same rule."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.motion.face_map import box_margins, box_mask, expanded_box, face_map
from fantasyportrait.pipelines.motion_conditioning import (
    DrivenFace,
    MotionConditioning,
    face_attention_mask,
    motion_conditioning,
    token_labels,
)
from fantasyportrait.schema.motion_code import MotionCode
from fantasyportrait.testing.tiny_faces import tiny_driven_face
from tests.parity.cases import Cases

Arrays = dict[str, NDArray[np.generic]]
TOLERANCE = 2e-4


@pytest.fixture(scope="module")
def case(cases: Cases) -> Arrays:
    return cases.arrays("transformer")


def context(case: Arrays, text: str = "text") -> dict[str, torch.Tensor]:
    """The transformer's inputs besides motion."""
    rows = torch.from_numpy(case[text])
    return {
        "encoder_hidden_states": functional.pad(rows, (0, 0, 0, 512 - len(rows)))[None],
        "encoder_hidden_states_image": torch.from_numpy(case["image"]),
    }


def driven(case: Arrays, count: int) -> list[DrivenFace[MotionCode]]:
    return [tiny_driven_face(face + 1, case[f"features_face_{face}"][0]) for face in range(count)]


def box_labels(case: Arrays) -> torch.Tensor:
    """The token grid's labels from the boxes of the photo and of the drivers."""
    height, width = (8 * side for side in case["latents"].shape[-2:])
    pairs = zip(case["two_faces_boxes"], case["two_faces_driver_boxes"], strict=True)
    masks = [box_mask(i, box, box_margins(driver), (width, height)) for i, (box, driver) in enumerate(pairs, 1)]
    return token_labels(face_map(masks))


@torch.no_grad()
def velocity(
    model: FantasyPortraitTransformer3DModel,
    case: Arrays,
    motion: MotionConditioning | None,
    timestep: int,
    scale: float = 1.0,
) -> NDArray[np.float32]:
    states = np.concatenate([case["latents"], case["condition"]])[None]
    extra = (
        {}
        if motion is None
        else {
            "motion_hidden_states": motion.tokens,
            "motion_attention_mask": motion.mask,
            "motion_scale": scale * motion.scale,
        }
    )
    out = model(torch.from_numpy(states), torch.tensor([float(timestep)]), **context(case), **extra)
    return np.asarray(out.sample.numpy())


@torch.no_grad()
def motion_of(
    adapter: MotionAdapter, faces: Sequence[DrivenFace[MotionCode]], labels: torch.Tensor
) -> MotionConditioning:
    found = motion_conditioning(adapter, faces, labels)
    assert found is not None
    return found


def alone(case: Arrays) -> torch.Tensor:
    """One face to which the whole picture attends."""
    return torch.ones([side // 2 for side in case["latents"].shape[-2:]], dtype=torch.long)


def test_velocity_of_one_face_equals_public_code(
    case: Arrays, adapter: MotionAdapter, transformer: FantasyPortraitTransformer3DModel
) -> None:
    motion = motion_of(adapter, driven(case, 1), alone(case))
    assert motion.mask is None
    timesteps = [int(key.rsplit("_t", 1)[1]) for key in case if key.startswith("one_face_t")]
    assert timesteps
    for timestep in timesteps:
        out = velocity(transformer, case, motion, timestep)
        np.testing.assert_allclose(out, case[f"one_face_t{timestep}"], atol=TOLERANCE)


def test_velocity_with_motion_scale_equals_public_code(
    case: Arrays, adapter: MotionAdapter, transformer: FantasyPortraitTransformer3DModel
) -> None:
    motion = motion_of(adapter, driven(case, 1), alone(case))
    names = [key for key in case if key.startswith("one_face_scale_")]
    assert names
    for name in names:
        out = velocity(transformer, case, motion, 700, float(name.rsplit("_", 1)[1]))
        np.testing.assert_allclose(out, case[name], atol=TOLERANCE)
    np.testing.assert_allclose(velocity(transformer, case, motion, 700, 0.0), case["scale_0"], atol=TOLERANCE)
    np.testing.assert_allclose(velocity(transformer, case, None, 700), case["scale_0"], atol=TOLERANCE)


def test_grown_boxes_equal_public_code(case: Arrays) -> None:
    pairs = zip(case["two_faces_boxes"], case["two_faces_driver_boxes"], strict=True)
    grown = [expanded_box(box, box_margins(driver)) for box, driver in pairs]
    np.testing.assert_array_equal(grown, case["two_faces_grown_boxes"])


def test_face_attention_mask_equals_public_code(case: Arrays) -> None:
    attends = face_attention_mask(box_labels(case), [1, 2]).numpy()
    for frame in case["two_faces_listens_to"]:
        np.testing.assert_array_equal(attends, frame)


def test_velocity_of_two_faces_equals_public_code(
    case: Arrays, adapter: MotionAdapter, transformer: FantasyPortraitTransformer3DModel
) -> None:
    motion = motion_of(adapter, driven(case, 2), box_labels(case))
    np.testing.assert_allclose(velocity(transformer, case, motion, 700), case["two_faces"], atol=TOLERANCE)


def test_velocity_of_three_faces_equals_case(
    case: Arrays, adapter: MotionAdapter, transformer: FantasyPortraitTransformer3DModel
) -> None:
    if "three_faces" not in case:
        pytest.skip("this set of cases has no three faces")
    labels = torch.from_numpy(np.asarray(case["three_faces_labels"], np.int64))
    motion = motion_of(adapter, driven(case, 3), labels)
    np.testing.assert_allclose(velocity(transformer, case, motion, 700), case["three_faces"], atol=TOLERANCE)
