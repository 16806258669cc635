"""Frequency: what upsampling leaves in the spectrum."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.artifacts.findings import ArtifactFinding, either, share
from models.artifacts.view import SIDE, FaceView

NAME = "frequency"
_BLOCK = 8
"""Cells of the spectrum that are averaged before peaks are looked for, along each side."""
_PATCHES = 15
"""Of them side by side; the last seven columns are left over."""
_PEAK_HALF, _UPTURN_HALF = 3.0, 0.7
"""Nepers of power that map to 0.5: above the 95th percentile of photographs."""
_FLOOR = 1.0
"""Power below which there is nothing but rounding, in luma²: keeps flat pictures from having peaks."""


def power_spectrum(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the log power of a picture under a Hann window, float32 [256, 127].

    Rows are the vertical frequencies from 0, columns the horizontal ones from 1 to 127: the window spreads what lies
    exactly on either axis into them.

    Args:
        luma: uint8 [256, 256].
    """
    picture = luma.astype(np.float32)
    picture -= picture.mean()
    picture *= _window()
    # OpenCV packs the half of the spectrum: real and imaginary parts take turns after the first column.
    packed = np.square(np.asarray(cv2.dft(picture), np.float32))
    power = packed[:, 1:-1:2] + packed[:, 2::2]
    power += np.float32(_FLOOR * SIDE * SIDE)
    return np.asarray(np.log(power), np.float32)


def radial_profile(spectrum: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean log power by frequency, float64 [128]: azimuthal average (Durall et al. 2020).

    Source: Durall, Keuper & Keuper 2020, "Watch your Up-Convolution" (https://arxiv.org/abs/2003.01826).

    Args:
        spectrum: float32 [256, 127], as `power_spectrum` gives it.
    """
    rings, counts = _rings()
    return np.asarray(np.bincount(rings, spectrum.ravel(), SIDE)[: SIDE // 2] / counts)


def peak(spectrum: NDArray[np.float32], profile: NDArray[np.float64]) -> float:
    """Return how far the strongest patch of high frequencies rises above all others as far from zero, nepers.

    Upsampling by interlaced zeros or repeated pixels mirrors the low frequencies around the multiples of its grid
    (Odena et al. 2016, https://distill.pub/2016/deconv-checkerboard; Zhang et al. 2019,
    https://arxiv.org/abs/1907.06515).
    """
    whole = spectrum[:, : _PATCHES * _BLOCK]
    patches = cv2.resize(whole, (_PATCHES, SIDE // _BLOCK), interpolation=cv2.INTER_AREA)
    expected, high = _patch_rings()
    excess = np.asarray(patches)[high] - np.interp(expected[high], np.arange(len(profile)), profile)
    return float(excess.max())


def upturn(profile: NDArray[np.float64]) -> float:
    """Return how much the profile's end rises above what comes before it, nepers; photographs fall towards it."""
    return float(profile[116:127].mean() - profile[84:108].mean())


def analyse_frequency(view: FaceView) -> ArtifactFinding:
    """Look for the grids and the upturned spectrum of upsampling; nowhere in particular."""
    spectrum = power_spectrum(view.luma)
    profile = radial_profile(spectrum)
    score = either(share(peak(spectrum, profile), _PEAK_HALF), share(upturn(profile), _UPTURN_HALF))
    return ArtifactFinding(NAME, score)


@cache
def _window() -> NDArray[np.float32]:
    hann = np.hanning(SIDE).astype(np.float32)
    return np.outer(hann, hann)


@cache
def _rings() -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Ring of each cell of a spectrum, flat, and how many cells each of the first 128 rings has."""
    radius = np.hypot(_vertical()[:, None], np.arange(1, SIDE // 2)[None])
    rings = np.minimum(np.rint(radius), SIDE - 1).astype(np.intp).ravel()
    counts = np.bincount(rings, minlength=SIDE)[: SIDE // 2]
    return rings, np.maximum(counts, 1).astype(np.float64)


@cache
def _patch_rings() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Mean distance of each patch from zero frequency, and which of them are looked at: beyond half of Nyquist's."""
    radius = np.hypot(_vertical()[:, None], np.arange(1, _PATCHES * _BLOCK + 1)[None])
    distance = radius.reshape(SIDE // _BLOCK, _BLOCK, _PATCHES, _BLOCK).mean((1, 3))
    return distance, (distance > SIDE / 4) & (distance < SIDE / 2)


def _vertical() -> NDArray[np.intp]:
    return np.minimum(np.arange(SIDE), SIDE - np.arange(SIDE))
