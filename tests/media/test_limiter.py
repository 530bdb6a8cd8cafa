"""The limiter keeps true peaks under its ceiling and does not change sound below it."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from fantasyportrait.media.downmix import downmix_matrix
from fantasyportrait.media.limiter import CEILING, limit_peaks

RATE = 48_000
BLOCK = RATE // 10


def blocks(samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    for begin in range(0, len(samples), BLOCK):
        yield samples[begin : begin + BLOCK]


def through(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.concatenate(list(limit_peaks(blocks(samples.astype(np.float32)))))


def true_peak(samples: NDArray[np.float32]) -> float:
    """The largest value of the band-limit_peaks signal, by a spectrum four times as wide."""
    spectrum = np.fft.rfft(samples, axis=0)
    return float(np.abs(np.fft.irfft(spectrum, 4 * len(samples), axis=0)).max() * 4)


def noise(seconds: float, level: float) -> NDArray[np.float32]:
    wave = np.random.default_rng(1).normal(0, level, (round(seconds * RATE), 2))
    spectrum = np.fft.rfft(wave, axis=0)
    spectrum[round(18_000 * seconds) :] = 0  # music ends there; between samples a filter must see the rest
    return np.fft.irfft(spectrum, len(wave), axis=0).astype(np.float32)


def test_a_peak_between_the_samples_counts() -> None:
    """A quarter of the sampling rate, sampled beside its crests: samples of 0.707 are a wave of 1."""
    wave = np.sqrt(2) * 0.75 * np.sin(np.pi / 2 * np.arange(5 * RATE) + np.pi / 4)
    samples = np.repeat(wave[:, None], 2, axis=1)
    assert np.abs(samples).max() < CEILING < true_peak(samples.astype(np.float32))
    middle = through(samples)[2 * RATE : 3 * RATE]
    assert np.abs(middle).max() * np.sqrt(2) == pytest.approx(CEILING, abs=0.005)


@pytest.mark.parametrize("level", [0.3, 1.0, 30.0])
def test_loud_noise_stays_under_the_ceiling(level: float) -> None:
    assert true_peak(through(noise(3, level))) < CEILING * 1.01


def test_click_is_attenuated_smoothly_and_locally() -> None:
    samples = np.clip(noise(5, 0.1), -0.5, 0.5)
    samples[2 * RATE + 7 : 2 * RATE + 9] = 3.0
    result = through(samples)
    assert np.abs(result).max() <= CEILING
    assert (result[: RATE // 2] == samples[: RATE // 2]).all() and (result[4 * RATE :] == samples[4 * RATE :]).all()
    gain = (result / np.where(np.abs(samples) < 0.05, np.nan, samples))[:, 0]
    known = gain[np.isfinite(gain)]
    assert np.abs(np.diff(known)).max() < 0.002


@given(st.integers(0, 3 * RATE), st.floats(0, 0.85), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_quiet_sound_is_unchanged(length: int, level: float, hertz: int) -> None:
    wave = level * np.sin(2 * np.pi * 100 * hertz * np.arange(length) / RATE + 1)
    samples = np.repeat(wave[:, None], 2, axis=1).astype(np.float32)
    samples *= np.minimum(1, np.arange(length) / 480)[:, None].astype(np.float32)  # a hard edge overshoots
    samples *= np.minimum(1, np.arange(length)[::-1] / 480)[:, None].astype(np.float32)
    given_back = list(limit_peaks(blocks(samples)))
    assert sum(map(len, given_back)) == length
    assert all((a == b).all() for a, b in zip(given_back, blocks(samples), strict=True))


@given(st.integers(1, 200_000))
@settings(max_examples=20, deadline=None)
def test_loud_sound_of_any_length_keeps_its_length(length: int) -> None:
    result = through(np.full((length, 2), 2.0))
    assert len(result) == length and 0.5 < np.abs(result).max() <= CEILING


def test_layouts_without_names_are_taken_by_their_number() -> None:
    unnamed = ["NONE"] * 16
    assert (downmix_matrix(unnamed[:1]) == [[1, 1]]).all()
    assert (downmix_matrix(unnamed[:2]) == np.eye(2)).all()
    assert (downmix_matrix(unnamed[:6]) == downmix_matrix(["FL", "FR", "FC", "LFE", "BL", "BR"])).all()
    assert downmix_matrix(unnamed).sum() == pytest.approx(16 * (1 / 8) ** 0.5)
    assert (downmix_matrix(["FL", "FR", "LFE", "XY"])[2:] == 0).all()
