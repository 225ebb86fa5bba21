"""The reference of the proof: whole acquisitions simulated in numpy, and how far apart two sets of noise images are.

Nothing of the package is used here but the calibration record that a scanner hands over: line integrals are analytic,
photons are numpy's, and the reconstruction is `Scanner`'s own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.dose.scanner import MU, Ellipse, Scanner

FINER = 8
DIRECTIONS = 24
BAND = (0.08, 0.5)
"""Frequencies in mm⁻¹ over which directional power is summed."""


@dataclass(frozen=True)
class Windows:
    """Square pieces of a centred image.

    Attributes:
        size, pixel: Pixels a side of the image, and their size in mm.
        centres: (n, 2) mm, (y, x), of the pieces.
        side: Pixels a side of a piece.
    """

    size: int
    pixel: float
    centres: tuple[tuple[float, float], ...]
    side: int = 64

    @property
    def corners(self) -> list[tuple[int, int]]:
        """First row and column of each."""
        middle = (self.size - 1) / 2 - (self.side - 1) / 2
        return [(round(y / self.pixel + middle), round(x / self.pixel + middle)) for y, x in self.centres]

    @property
    def points(self) -> np.ndarray:
        """(n · side², 2) mm of all their pixels."""
        t = np.arange(self.side)
        index = [np.stack(np.meshgrid(r + t, c + t, indexing="ij"), -1).reshape(-1, 2) for r, c in self.corners]
        return (np.concatenate(index) - (self.size - 1) / 2) * self.pixel

    def cut(self, images: np.ndarray) -> np.ndarray:
        """(realisations, size, size) → (realisations, n, side, side)."""
        return np.stack([images[:, r : r + self.side, c : c + self.side] for r, c in self.corners], axis=1)


def acquire(
    scanner: Scanner,
    phantom: tuple[Ellipse, ...],
    doses: Sequence[float],
    *,
    points: np.ndarray,
    realisations: int,
    rng: np.random.Generator,
    body: bool = False,
) -> np.ndarray:
    """Scans simulated in full, view by view: (doses, realisations, points) HU, less the body itself unless ``body``.

    Each scan counts photons, adds electronic noise, takes the logarithm and is reconstructed by filtered
    back-projection, interpolated linearly between eight band-limited samples a ray.
    """
    path = scanner.line_integrals(phantom)
    counts = scanner.counts(phantom)
    response = scanner.filter()[: counts.shape[1] + 1]
    total = np.zeros((len(points), len(doses) * realisations), dtype=np.float32)
    for view, angle in enumerate(scanner.theta):
        rays = np.concatenate([_log_readings(scanner, counts[view] * a, realisations, rng) for a in doses])
        if body:
            rays += path[view]
        spectrum = np.fft.rfft(rays, n=2 * rays.shape[1]) * response
        filtered = np.fft.irfft(spectrum, n=2 * FINER * rays.shape[1])[:, : FINER * rays.shape[1]] * FINER
        samples = np.ascontiguousarray(filtered.T, dtype=np.float32)
        u = points[:, 1] * math.cos(angle) + points[:, 0] * math.sin(angle)
        # Corners of a whole image lie outside the detector, and outside of what is looked at.
        position = ((u - scanner.u[0]) * (FINER / (scanner.u[1] - scanner.u[0]))).clip(0, len(samples) - 1.001)
        low = position.astype(np.int64)
        t = (position - low).astype(np.float32)[:, None]
        total += samples[low] * (1 - t) + samples[low + 1] * t
    total *= math.pi / len(scanner.theta) * 1000 / MU
    if body:
        total -= 1000
    return np.ascontiguousarray(total.T).reshape(len(doses), realisations, len(points))


def _log_readings(scanner: Scanner, mean: np.ndarray, realisations: int, rng: np.random.Generator) -> np.ndarray:
    """(realisations, bins) −ln(signal / mean), averaged over the readings of each ray."""
    shape = (scanner.readings, realisations, len(mean))
    signal = rng.poisson(np.broadcast_to(mean, shape)) + scanner.electronic_noise * rng.standard_normal(shape)
    return -np.log(np.maximum(signal, 1) / mean).mean(0)


def sd_ratio(ours: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Median over pixels of the ratio of SDs over realisations (first axis), and its rms relative spread."""
    ratio = ours.std(0) / truth.std(0)
    return float(np.median(ratio)), float(np.sqrt(np.mean((ratio / np.median(ratio) - 1) ** 2)))


def power(windows: np.ndarray) -> np.ndarray:
    """(n, side, side) mean Hann-windowed periodograms of (realisations, n, side, side), less the mean image."""
    side = windows.shape[-1]
    taper = np.outer(np.hanning(side), np.hanning(side))
    return np.mean(np.abs(np.fft.fft2((windows - windows.mean(0)) * taper)) ** 2, axis=0)


def radial(spectra: np.ndarray, pixel: float) -> np.ndarray:
    """(n, rings) mean power of each window over rings 2/(side · pixel) wide, up to the axes' Nyquist frequency."""
    side = spectra.shape[-1]
    f = np.fft.fftfreq(side, d=pixel)
    ring = (np.hypot(f[:, None], f[None]) * side * pixel / 2).astype(int).ravel()
    used = side // 4
    weight = np.bincount(ring)[:used]
    return np.stack([np.bincount(ring, s.ravel())[:used] / weight for s in spectra])


def directional(spectra: np.ndarray, pixel: float) -> np.ndarray:
    """(n, DIRECTIONS) share of each window's power in directions over π, in the middle band of frequencies."""
    f = np.fft.fftfreq(spectra.shape[-1], d=pixel)
    rho = np.hypot(f[:, None], f[None])
    theta = np.mod(np.arctan2(f[:, None], f[None]) / np.pi * DIRECTIONS + 0.5, DIRECTIONS).astype(int)
    used = (rho > BAND[0]) & (rho < BAND[1])
    shares = np.stack([np.bincount(theta[used], s[used], DIRECTIONS) for s in spectra])
    return shares / shares.sum(1, keepdims=True)


def radial_error(ours: np.ndarray, truth: np.ndarray, pixel: float) -> float:
    """Relative L1 distance of the radial spectra of two sets of windows."""
    a, b = (radial(power(w), pixel) for w in (ours, truth))
    return float(np.mean(np.abs(a - b).sum(1) / b.sum(1)))


def angular_error(ours: np.ndarray, truth: np.ndarray, pixel: float) -> float:
    """L1 distance of the directional shares of two sets of windows."""
    a, b = (directional(power(w), pixel) for w in (ours, truth))
    return float(np.mean(np.abs(a - b).sum(1)))
