"""Layers: holes are filled smoothly, the background plate keeps the photo, heads are cut out whole."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from fantasyportrait.preview.layers import HeadLayer, background_plate, extend_background, fill_holes, head_layer
from fantasyportrait.preview.rig import build_rig
from tests.preview.scene import Scene

seeds = st.integers(0, 2**32 - 1)
colours = st.tuples(*[st.integers(0, 255)] * 3)


@pytest.fixture(scope="module")
def layers(scene: Scene) -> list[HeadLayer]:
    """The layers of both people."""
    return [head_layer(scene.photo, face, build_rig(face.landmarks, scene.canonical)) for face in scene.faces]


def holes(seed: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """1 in a few random boxes, 0 elsewhere."""
    random = np.random.default_rng(seed)
    covered = np.zeros(shape, np.uint8)
    for _ in range(random.integers(1, 5)):
        top, left = random.integers(0, [shape[0] - 4, shape[1] - 4])
        covered[top : top + random.integers(1, 14), left : left + random.integers(1, 14)] = 1
    return covered


@settings(max_examples=25)
@given(seeds, colours, st.integers(24, 60), st.integers(24, 60))
def test_one_colour_goes_on_as_itself(seed: int, colour: tuple[int, int, int], height: int, width: int) -> None:
    image = np.full((height, width, 3), colour, np.uint8)
    covered = holes(seed, (height, width))
    np.testing.assert_allclose(fill_holes(image, 1.0 - covered), image, atol=1)
    np.testing.assert_allclose(extend_background(image, covered, 10).astype(float), image, atol=1)


@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (40, 3), (50, 70)])
@pytest.mark.parametrize("covered", [0, 1])
def test_nothing_or_everything_covered_is_finite(shape: tuple[int, int], covered: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    mask = np.full(shape, covered, np.uint8)
    filled = fill_holes(image, (1 - mask).astype(np.float32))
    assert filled.shape == image.shape and np.isfinite(filled).all()
    whole = extend_background(image, mask, 10.0)
    assert whole.dtype == np.uint8 and whole.shape == image.shape
    if not covered:
        np.testing.assert_allclose(filled, image, atol=1e-3)
        np.testing.assert_array_equal(whole, image)


def test_a_gradient_goes_on() -> None:
    y, x = np.mgrid[:120, :160]
    ramp = np.round(np.dstack([30 + x, 40 + 1.2 * y, 120 + 0.3 * x - 0.5 * y])).astype(np.uint8)
    inside = (x - 80) ** 2 + (y - 60) ** 2 < 30**2
    smooth = np.abs(fill_holes(ramp, (~inside).astype(np.float32)) - ramp)
    mirrored = np.abs(extend_background(ramp, inside.astype(np.uint8), 40.0).astype(float) - ramp)
    assert smooth[~inside].max() < 0.5 and smooth[inside].mean() < 6 and smooth[inside].max() < 18
    assert mirrored[~inside].max() < 8 and mirrored[inside].mean() < 14


def test_background_plate_changes_only_heads(scene: Scene, layers: list[HeadLayer]) -> None:
    plate = background_plate(scene.photo, layers)
    near = np.any([scene.neighbourhood(face) for face in scene.faces], axis=0)
    np.testing.assert_array_equal(plate[~near], scene.photo[~near])
    lies_still = ~np.any([layer.moves for layer in layers], axis=0)
    np.testing.assert_array_equal(plate[lies_still], scene.photo[lies_still])
    for face in scene.faces:
        x, y = face.landmarks[6, :2].astype(int)
        assert np.abs(plate[y, x].astype(int) - scene.photo[y, x]).max() > 20, "the face is gone"
    np.testing.assert_array_equal(background_plate(scene.photo, []), scene.photo)
    only = background_plate(scene.photo, layers[:1])
    far = ~scene.neighbourhood(scene.faces[0])
    np.testing.assert_array_equal(only[far], scene.photo[far])


def test_layers_hold_head_down_to_neck(scene: Scene, layers: list[HeadLayer]) -> None:
    for face, layer in zip(scene.faces, layers, strict=True):
        assert layer.alpha.shape == scene.photo.shape[:2] and layer.alpha.min() >= 0 and layer.alpha.max() <= 1
        assert (layer.alpha[~scene.neighbourhood(face)] == 0).all()
        left, top, right, bottom = face.box.astype(int)
        assert layer.window.left <= left and right <= layer.window.right
        assert layer.window.top <= top and bottom <= layer.window.bottom
        assert (layer.alpha > 0.99)[top:bottom, left:right].mean() > 0.6
        rows = np.nonzero(layer.alpha.max(axis=1))[0]
        assert rows.max() < bottom + 0.6 * np.ptp(face.landmarks[:, 1]), "the neck ends above the shoulders"


def test_holes_are_filled_from_afar_or_with_mean() -> None:
    image = np.full((40, 200, 3), 120, np.uint8)
    known = np.zeros((40, 200), np.float32)
    assert np.allclose(fill_holes(image, known), 120, atol=0.1)
    known[:, :12] = 1
    assert np.allclose(fill_holes(image, known), 120, atol=0.1)
