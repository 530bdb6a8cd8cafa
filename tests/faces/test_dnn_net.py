"""Nets are loaded once, shared by threads, and give the same numbers as fresh ones."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.images.images import Pixels
from fantasyportrait.schema.face import Face
from tests.counting_nets import count_nets_loaded

THREADS = 3


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files from which OpenCV loads nets."""
    return count_nets_loaded(monkeypatch)


def same(first: tuple[Face, ...], second: tuple[Face, ...]) -> bool:
    """True where all arrays are equal, bit by bit."""
    return len(first) == len(second) and all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for a, b in zip(first, second, strict=True)
        for name in ("box", "landmarks", "blendshapes")
    )


def test_the_second_photo_loads_nothing_and_reads_the_same(models_dir: Path, photo: Pixels, loaded: list[str]) -> None:
    models = FaceModels(models_dir)
    first = FaceAnalyser(models).find(photo)
    masks = models.head_masks().masked(photo, first)
    assert len(loaded) == len(set(loaded)) == 4, "detector, landmarks, blendshapes, masks"
    mirrored = FaceAnalyser(models).find(photo[:, ::-1])
    again = FaceAnalyser(models).find(photo)
    assert len(loaded) == 4 and not same(first, mirrored) and same(first, again)
    pairs = zip(masks, models.head_masks().masked(photo, again), strict=True)
    assert all(np.array_equal(a.mask, b.mask) for a, b in pairs)


def test_a_photo_of_another_shape_is_read_as_by_fresh_nets(models_dir: Path, photo: Pixels, loaded: list[str]) -> None:
    tall = photo[:, 80:540]
    models = FaceModels(models_dir)
    wide_before = FaceAnalyser(models).find(photo)
    shared = FaceAnalyser(models).find(tall)
    wide_after = FaceAnalyser(models).find(photo)
    assert same(shared, FaceAnalyser(FaceModels(models_dir)).find(tall)) and same(wide_before, wide_after)


def test_threads_share_the_models(models_dir: Path, photo: Pixels, loaded: list[str]) -> None:
    alone = FaceAnalyser(FaceModels(models_dir)).find(photo)
    loaded.clear()
    analyser, start = FaceAnalyser(FaceModels(models_dir)), threading.Barrier(THREADS)

    def find() -> tuple[Face, ...]:
        start.wait()
        return analyser.find(photo)

    with ThreadPoolExecutor(THREADS) as pool:
        found = [future.result() for future in [pool.submit(find) for _ in range(THREADS)]]
    assert all(same(alone, faces) for faces in found)
    assert len(set(loaded)) == 3 and all(loaded.count(name) <= THREADS for name in loaded)


def test_a_net_in_use_does_not_block_another_thread(
    models_dir: Path, photo: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first thread is kept inside its net until the second one has been through one of its own."""
    detector = FaceModels(models_dir).photo_detector()
    inside, passed = threading.Event(), threading.Event()
    read = cv2.dnn.readNetFromONNX

    class HeldNet:
        def __init__(self, path: str) -> None:
            self._net = read(path)

        def forward(self, names: tuple[str, ...]) -> object:
            if not inside.is_set():
                inside.set()
                assert passed.wait(60)
            return self._net.forward(names)

        def __getattr__(self, name: str) -> object:
            return getattr(self._net, name)

    monkeypatch.setattr(cv2.dnn, "readNetFromONNX", HeldNet)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(detector.detect, photo)
        assert inside.wait(60)
        found = detector.detect(photo)
        passed.set()
        assert len(held.result(60)) == len(found) == 2
