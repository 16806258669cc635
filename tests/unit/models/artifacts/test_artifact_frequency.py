import cv2
import numpy as np
import pytest

from models.artifacts.frequency import peak, power_spectrum, radial_profile, upturn
from tests.unit.models.artifacts.conftest import Image, Portrait, as_luma


def enlarged(crop: Image, way: int) -> Image:
    half = cv2.resize(crop, (128, 128), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(half, (256, 256), interpolation=way), np.uint8)


def test_repeated_pixels_leave_a_peak_that_smooth_enlargement_does_not(portrait: Portrait) -> None:
    def height(crop: Image) -> float:
        spectrum = power_spectrum(as_luma(crop))
        return peak(spectrum, radial_profile(spectrum))

    repeated = height(enlarged(portrait.crop, cv2.INTER_NEAREST))
    assert repeated > 2.0
    assert height(enlarged(portrait.crop, cv2.INTER_CUBIC)) < 0.6 * repeated
    assert height(portrait.crop) < 0.6 * repeated


def test_the_score_follows_the_peak(portrait: Portrait) -> None:
    repeated = portrait.score("frequency", enlarged(portrait.crop, cv2.INTER_NEAREST))
    assert repeated > portrait.score("frequency", enlarged(portrait.crop, cv2.INTER_CUBIC)) + 0.15
    assert repeated > portrait.score("frequency") + 0.15


def test_interlaced_noise_turns_the_spectrum_up_at_its_end(portrait: Portrait) -> None:
    checker = ((np.indices((256, 256)).sum(0) % 2) * 2 - 1)[:, :, None]
    noise = np.random.default_rng(1).normal(0, 3, (256, 256, 1))
    shaken = np.clip(portrait.crop + checker * cv2.GaussianBlur(noise, (0, 0), 1.0)[:, :, None] * 8, 0, 255)
    calm = upturn(radial_profile(power_spectrum(as_luma(portrait.crop))))
    assert calm < 0.1
    assert upturn(radial_profile(power_spectrum(as_luma(shaken.astype(np.uint8))))) > calm + 0.5


@pytest.mark.parametrize("cycles", [20, 50, 90])
def test_a_wave_shows_at_its_frequency_in_the_profile(cycles: int) -> None:
    rows, columns = np.indices((256, 256)) - 127.5
    rings = 128 + 100 * np.cos(2 * np.pi * cycles * np.hypot(rows, columns) / 256)
    assert abs(int(radial_profile(power_spectrum(rings.astype(np.uint8)))[2:120].argmax()) + 2 - cycles) <= 1
