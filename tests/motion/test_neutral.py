"""The relaxed face: open mouths are shut, smiles removed, calm faces unchanged."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from fantasyportrait.core.geometry import estimate_similarity, rotation_matrix
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.mesh import INNER_LIPS, LIP_PAIRS, RIGID, CanonicalFace
from fantasyportrait.motion.blendshapes import BLENDSHAPE_NAMES, blendshape_basis, blendshape_indices
from fantasyportrait.motion.neutral import close_mouth, relax_smile

Points = NDArray[np.float64]
JAW = BLENDSHAPE_NAMES.index("jawOpen")
SMILE = list(blendshape_indices("mouthSmile"))
SCALE = 12.0
PARTED = 0.17  # how far the mean face's own mouth is open, as `jawOpen`


@pytest.fixture(scope="module")
def canonical(models_dir: Path) -> CanonicalFace:
    """The mean face."""
    return FaceModels(models_dir).canonical_face()


def acted(canonical: CanonicalFace, scores: NDArray[np.float32], turn: tuple[float, float, float]) -> Points:
    """The mean face, its mouth shut, with these blendshapes, turned, in pixels."""
    basis = blendshape_basis(canonical)
    points = canonical.points - PARTED * basis[JAW] + np.tensordot(scores.astype(np.float64), basis, axes=1)
    return points @ rotation_matrix(*turn).T * SCALE + 300


def scored(smile: float = 0.0, jaw: float = 0.0) -> NDArray[np.float32]:
    """Blendshape scores (52,)."""
    scores = np.zeros(52, np.float32)
    scores[SMILE], scores[JAW] = smile, jaw
    return scores


def gap(points: NDArray[np.float64] | NDArray[np.float32], canonical: CanonicalFace) -> float:
    """Mean opening of the mouth over its width."""
    down = estimate_similarity(canonical.points[RIGID], points[RIGID]).rotation[:, 1]
    apart = (points[LIP_PAIRS[:, 1]] - points[LIP_PAIRS[:, 0]]) @ down
    return float(apart.mean() / np.linalg.norm(points[78] - points[308]))


turns = st.tuples(st.floats(-20, 20), st.floats(-30, 30), st.floats(-40, 40))


@settings(max_examples=25)
@given(turns, st.floats(0, 0.25))
def test_a_calm_face_stays_as_it_is(canonical: CanonicalFace, turn: tuple[float, float, float], smile: float) -> None:
    scores = scored(smile)
    face = acted(canonical, scored(), turn).astype(np.float32)
    calm, rest = relax_smile(face, scores, canonical)
    np.testing.assert_allclose(calm, face, atol=1e-3)
    np.testing.assert_array_equal(rest, scores)


@settings(max_examples=25)
@given(turns, st.floats(0.3, 1), st.floats(0.25, 0.8))
def test_a_laughing_mouth_is_shut(
    canonical: CanonicalFace, turn: tuple[float, float, float], smile: float, jaw: float
) -> None:
    scores = scored(smile, jaw)
    face = acted(canonical, scores, turn)
    calm, rest = relax_smile(face.astype(np.float32), scores, canonical)
    assert calm.dtype == np.float32 and rest.shape == (52,)
    assert gap(face, canonical) > 0.08 and abs(gap(calm, canonical)) < 0.06
    np.testing.assert_allclose(rest[SMILE], 0.25, atol=1e-6)
    assert 0 <= rest[JAW] < 0.15
    # The result is the mean face with a quarter of a smile, at the place of the laughing one.
    wanted = acted(canonical, scored(0.25), turn)
    assert np.linalg.norm(calm - wanted, axis=1).mean() < 0.02 * SCALE * np.ptp(canonical.points[:, 0])


@settings(max_examples=25)
@given(turns, st.floats(0.1, 1))
def test_jaw_closes_by_its_opening(canonical: CanonicalFace, turn: tuple[float, float, float], jaw: float) -> None:
    shut, opened = close_mouth(acted(canonical, scored(jaw=jaw), turn), canonical)
    assert opened == pytest.approx(jaw, abs=0.12)
    again, more = close_mouth(shut, canonical)
    assert more < 0.02 and np.abs(again - shut).max() < 0.05 * SCALE
    down = estimate_similarity(canonical.points[RIGID], shut[RIGID]).rotation[:, 1]
    lips = shut[INNER_LIPS]
    assert ((lips[:10:-1] - lips[1:10]) @ down).min() > -0.1 * SCALE, "lips do not cross"


def test_the_scores_given_are_not_written_to(canonical: CanonicalFace) -> None:
    scores = scored(0.9, 0.5)
    face = acted(canonical, scores, (0, 0, 0)).astype(np.float32)
    kept = face.copy(), scores.copy()
    relax_smile(face, scores, canonical)
    np.testing.assert_array_equal(face, kept[0])
    np.testing.assert_array_equal(scores, kept[1])
