"""Changes to a film that leave its finding alone: exposure, sharpness, noise, compression, layout.

Training draws them at random (:mod:`pneumocascade.training.augment`), the shift suite applies them at
graded strengths (:mod:`pneumocascade.evaluation.shift_suite`). All take and return 8-bit grey films (H, W).
Lengths are in pixels of a film whose shorter side is 224, so that a change means the same on a film
of any resolution.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

REFERENCE_SIDE = 224
"""Shorter side, in pixels, of the film that lengths are given for."""

BANDS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Standard deviations, in pixels, of the Gaussians that part a film into bands of detail, one by one."""

_MOST_GAIN = 3.0
"""More would mostly amplify noise and traces of compression."""

_LEAST_CONTRAST = 0.1
"""In grey values; added to every contrast, so that a band without any has a ratio."""


def _scale(film: Grey) -> float:
    return float(min(film.shape) / REFERENCE_SIDE)


def _grey(picture: object) -> Grey:
    return np.asarray(picture, np.uint8)


def expose(film: Grey, *, gamma: float = 1.0, contrast: float = 1.0, brightness: float = 0.0) -> Grey:
    """Change display curve and exposure.

    Parameters
    ----------
    film : ndarray of uint8, shape (H, W)
    gamma : float
        Exponent of the grey values scaled to 0..1; above 1 darkens.
    contrast : float
        Factor of the distance from mid-grey.
    brightness : float
        Added, as a share of the grey scale.
    """
    values = np.linspace(0, 1, 256) ** gamma
    values = (values - 0.5) * contrast + 0.5 + brightness
    return _grey(cv2.LUT(film, np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)))


def blur(film: Grey, sigma: float) -> Grey:
    """Low-pass with a Gaussian of ``sigma`` pixels."""
    return _grey(cv2.GaussianBlur(film, (0, 0), sigma * _scale(film)))


def sharpen(film: Grey, amount: float, sigma: float = 1.0) -> Grey:
    """Add ``amount`` times what a Gaussian of ``sigma`` pixels takes away (unsharp mask)."""
    low = cv2.GaussianBlur(film, (0, 0), sigma * _scale(film))
    return _grey(cv2.addWeighted(film, 1 + amount, low, -amount, 0))


def add_noise(film: Grey, deviation: float, rng: np.random.Generator) -> Grey:
    """Add Gaussian noise with a standard deviation in grey values (0..255)."""
    noise = rng.standard_normal(film.shape, np.float32) * deviation
    return np.clip(np.round(film + noise), 0, 255).astype(np.uint8)


def compress(film: Grey, quality: int) -> Grey:
    """Pass through JPEG of a quality, 1..100."""
    _, data = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _grey(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))


def crop(film: Grey, top: float, bottom: float, left: float, right: float) -> Grey:
    """Cut a share (0..1) off each side."""
    height, width = film.shape
    return film[
        int(top * height) : height - int(bottom * height), int(left * width) : width - int(right * width)
    ]


def collimate(film: Grey, share: float) -> Grey:
    """Blacken a share (0..0.5) along each side, as closed shutters do."""
    down, across = (int(share * side) for side in film.shape)
    framed = np.zeros_like(film)
    inside = (slice(down, film.shape[0] - down), slice(across, film.shape[1] - across))
    framed[inside] = film[inside]
    return framed


def resize(film: Grey, side: int, interpolation: int = cv2.INTER_AREA) -> Grey:
    """Stretch to a square of ``side`` pixels with one of OpenCV's filters."""
    return _grey(cv2.resize(film, (side, side), interpolation=interpolation))


def rotate(film: Grey, degrees: float) -> Grey:
    """Rotate about the middle, counter-clockwise; what comes in from outside is black."""
    height, width = film.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return _grey(cv2.warpAffine(film, matrix, (width, height), flags=cv2.INTER_LINEAR))


def write_marker(film: Grey, rng: np.random.Generator) -> Grey:
    """Burn in a side marker or a line of text near a border."""
    film = film.copy()
    height, width = film.shape
    text = "".join(rng.choice(list("LRAPSUP0123456789"), int(rng.integers(1, 7))))
    scale = rng.uniform(0.3, 0.9) * _scale(film)
    near, along = rng.uniform(0.02, 0.14), rng.uniform(0.02, 0.85)
    down, across = (near, along) if rng.random() < 0.5 else (along, rng.choice([near, 0.85 - near]))
    origin = (int(across * width), int((down + 0.08) * height))
    value = int(rng.integers(150, 256))
    thickness = max(1, round(int(rng.integers(1, 3)) * _scale(film)))
    cv2.putText(film, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, value, thickness, cv2.LINE_AA)
    return film


def mask_patch(film: Grey, rng: np.random.Generator) -> Grey:
    """Cover a patch near the upper or lower border with one grey value (masked text, shutters)."""
    film = film.copy()
    height, width = film.shape
    tall, wide = int(rng.uniform(0.04, 0.16) * height), int(rng.uniform(0.06, 0.3) * width)
    top = int(rng.choice([rng.uniform(0, 0.1), rng.uniform(0.78, 0.95)]) * height)
    left = int(rng.uniform(0, 0.95) * width)
    film[top : top + tall, left : left + wide] = 0 if rng.random() < 0.6 else rng.integers(0, 256)
    return film


def transplant_frame(film: Grey, donor: Grey, share: float) -> Grey:
    """Replace a share (0..0.5) along each side with that of another film.

    Collimation, markers and burned-in text then tell of the donor, the lungs of the film.
    """
    height, width = film.shape
    framed: Grey = np.array(cv2.resize(donor, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    down, across = int(share * height), int(share * width)
    inside = (slice(down, height - down), slice(across, width - across))
    framed[inside] = film[inside]
    return framed


def swap_tone(film: Grey, donor: Grey, weight: float) -> Grey:
    """Move a film's grey values towards the distribution of another film's.

    Histogram matching (Gonzalez & Woods, "Digital Image Processing"), mixed with the film as it was.

    Parameters
    ----------
    film, donor : ndarray of uint8, shape (H, W) and (H', W')
    weight : float
        0 leaves the film as it is, 1 gives it the donor's distribution.
    """
    shares = [
        np.cumsum(np.bincount(picture.ravel(), minlength=256)) / picture.size for picture in (film, donor)
    ]
    matched = np.interp(shares[0], shares[1], np.arange(256))
    table = (1 - weight) * np.arange(256) + weight * matched
    return _grey(cv2.LUT(film, np.round(table).astype(np.uint8)))


def mix_amplitudes(film: Grey, donor: Grey, radius: int, weight: float) -> Grey:
    """Mix the amplitudes of a film's lowest frequencies with another film's; phases stay.

    Yang & Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation", CVPR 2020. Exposure, haze and
    collimation then tell of both films.

    Parameters
    ----------
    film, donor : ndarray of uint8, shape (H, W) and (H', W')
    radius : int
        Largest frequency along either axis, in periods per film, that is mixed.
    weight : float
        0 leaves the film as it is, 1 gives it the donor's amplitudes.
    """
    height, width = film.shape
    lender = cv2.resize(donor, (width, height), interpolation=cv2.INTER_AREA)
    spectra = [np.fft.rfft2(picture.astype(np.float32)) for picture in (film, lender)]
    for rows in (slice(0, radius + 1), slice(-radius, None)):
        own, other = (spectrum[rows, : radius + 1] for spectrum in spectra)
        amplitude = (1 - weight) * np.abs(own) + weight * np.abs(other)
        spectra[0][rows, : radius + 1] = amplitude * np.exp(1j * np.angle(own))
    mixed = np.fft.irfft2(spectra[0], s=film.shape)
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def match_detail(film: Grey, donor: Grey, weight: float) -> Grey:
    """Give the bands of a film's detail the contrast that those of another film have.

    Equipment and its image processing decide how much contrast detail of each size gets (Vuylsteke &
    Schoeters, "Multiscale image contrast amplification", SPIE Medical Imaging 1994).

    Parameters
    ----------
    film, donor : ndarray of uint8, shape (H, W) and (H', W')
    weight : float
        0 leaves the film as it is, 1 gives it the donor's contrast; values above 1 go beyond. No band is
        amplified or weakened more than three times.

    Returns
    -------
    ndarray of uint8, shape (H, W)
    """
    lender = cv2.resize(donor, film.shape[::-1], interpolation=cv2.INTER_AREA)
    matched = film.astype(np.float32)
    for band, other in zip(_bands(film), _bands(_grey(lender)), strict=True):
        ratio = (_contrast(other) + _LEAST_CONTRAST) / (_contrast(band) + _LEAST_CONTRAST)
        matched += (np.clip(ratio**weight, 1 / _MOST_GAIN, _MOST_GAIN) - 1) * band
    return np.clip(np.round(matched), 0, 255).astype(np.uint8)


def fine_detail(film: Grey) -> float:
    """Return the contrast of a film's fine detail.

    That is the standard deviation, in grey values, of what lies between Gaussians of 1 and 2.2 pixels, once
    the film is stretched to 224 x 224. So it depends a little on the film's shape, too.

    Parameters
    ----------
    film : ndarray of uint8, shape (H, W)

    Returns
    -------
    float
        0 of a film of one grey value.
    """
    bands = _bands(resize(film, REFERENCE_SIDE))
    next(bands)
    return _contrast(next(bands))


def _bands(film: Grey) -> Iterator[NDArray[np.float32]]:
    """Yield what each Gaussian of ``BANDS`` takes away from what the one before it has left, (H, W) each."""
    left = film.astype(np.float32)
    for sigma in BANDS:
        low = _low_pass(left, sigma * _scale(film))
        yield left - low
        left = low


def _low_pass(pixels: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return pixels after a Gaussian; a large one is applied to a smaller copy, which takes less time."""
    height, width = pixels.shape
    factor = max(1, int(sigma / 2))
    small = (max(1, width // factor), max(1, height // factor))
    low = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA) if factor > 1 else pixels
    low = cv2.GaussianBlur(low, (0, 0), sigma / factor)
    return np.asarray(cv2.resize(low, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _contrast(band: NDArray[np.float32]) -> float:
    """Return the standard deviation in the inner three quarters of each side, where no frame or marker is."""
    down, across = (side // 8 for side in band.shape)
    return float(band[down : band.shape[0] - down, across : band.shape[1] - across].std())
