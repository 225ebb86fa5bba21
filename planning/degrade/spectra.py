"""Noise power spectra of a region, measured and modelled, along rings and along directions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from reactkd_auto.dose.geometry import angles, sample_rays
from reactkd_auto.dose.nps import frequency_grid, isotropic_nps, over_angles
from reactkd_auto.dose.patches import PATCH, periodograms, window
from reactkd_auto.dose.rays import RayNoise

DIRECTIONS = 12
_SPREAD = (-16, 0, 16)
_FINE = 4 * PATCH
_LOWEST_BINS = 2.0
_BAND_SHARE = 0.3


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Measured and modelled noise power at the frequencies of a 32×32 patch, averaged over patches of one region.

    Attributes:
        measured, model: (PATCH, PATCH // 2 + 1) HU² mm².
        spacing: (y, x) mm.
    """

    measured: NDArray[np.float64]
    model: NDArray[np.float64]
    spacing: tuple[float, float]

    def radial(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Frequency in mm⁻¹, measured and modelled power of each ring."""
        rho, _, weight = self._frequencies()
        ring = np.floor(rho * PATCH * max(self.spacing)).astype(int)
        wanted = (rho * PATCH * max(self.spacing) >= _LOWEST_BINS) & (rho < 0.5 / max(self.spacing))
        return self._means(ring, wanted, weight)

    def directional(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Direction in degrees, measured and modelled power in the band where the model is strong, mean model 1."""
        rho, theta, weight = self._frequencies()
        ring = np.floor(rho * PATCH * max(self.spacing)).astype(int)
        # Mean power of each ring, so that every frequency of the band counts alike.
        total = np.bincount(ring.ravel(), (weight * self.model).ravel()) / np.maximum(
            np.bincount(ring.ravel(), weight.ravel()), 1e-9
        )
        level = total[ring]
        band = (rho * PATCH * max(self.spacing) >= _LOWEST_BINS) & (rho < 0.5 / max(self.spacing))
        band &= level > _BAND_SHARE * level[band].max()
        sector = np.floor(theta / math.pi * DIRECTIONS + 0.5).astype(int) % DIRECTIONS
        _, measured, model = self._means(sector, band, weight / np.maximum(level, 1e-12))
        degrees = np.unique(sector[band]) * 180.0 / DIRECTIONS
        return degrees, measured / model.mean(), model / model.mean()

    def _frequencies(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        rho, theta = (v.numpy() for v in frequency_grid((PATCH, PATCH), self.spacing))
        # The real FFT holds one half of the plane: its inner columns stand for two frequencies each.
        weight = np.full(rho.shape, 2.0)
        weight[:, 0] = weight[:, -1] = 1
        return rho, theta, weight

    def _means(
        self, group: NDArray[np.int_], wanted: NDArray[np.bool_], weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Weighted means over the groups of wanted frequencies: of ρ, of the measurement, of the model."""
        rho = self._frequencies()[0]
        used = np.unique(group[wanted])
        sums = [
            np.bincount(group[wanted], (weight * v)[wanted])[used]
            for v in (np.ones_like(rho), rho, self.measured, self.model)
        ]
        return sums[1] / sums[0], sums[2] / sums[0], sums[3] / sums[0]


def patch_corners(corner: tuple[int, int], shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Overlapping patches around a region (3×3, half a patch apart) that lie in the image."""
    places = [(corner[0] + dy, corner[1] + dx) for dy in _SPREAD for dx in _SPREAD]
    return [(r, c) for r, c in places if 0 <= r <= shape[0] - PATCH and 0 <= c <= shape[1] - PATCH]


def measured_spectrum(noise: NDArray[np.float64], corners: Sequence[tuple[int, int]], area: float) -> torch.Tensor:
    """Mean periodogram of the patches of one (rows, columns) noise image, HU² mm², float64."""
    patches = np.stack([noise[r : r + PATCH, c : c + PATCH] for r, c in corners]).astype(np.float32)
    return periodograms(patches, area).double().mean(0)


def modelled_spectrum(rays: RayNoise, sigma: torch.Tensor, corners: Sequence[tuple[int, int]]) -> torch.Tensor:
    """What the mean periodogram of patches should be, HU² mm², float64; see `modelled_power`."""
    return through_window(modelled_power(rays, sigma, corners))


def modelled_sd(rays: RayNoise, sigma: torch.Tensor, corners: Sequence[tuple[int, int]]) -> float:
    """Standard deviation in HU of noise of `modelled_power`, which ends at the pixels' highest frequency."""
    covariance = torch.fft.irfft2(modelled_power(rays, sigma, corners), s=(_FINE, _FINE))
    return math.sqrt(float(covariance[0, 0]) / math.prod(rays.canvas.spacing))


def modelled_power(rays: RayNoise, sigma: torch.Tensor, corners: Sequence[tuple[int, int]]) -> torch.Tensor:
    """Mean over patches of NPS₀(ρ) σ_θ²(x·θ) at their centres, every angle of its own, HU² mm², float64.

    Args:
        rays: Of the CT.
        sigma: (ANGLES, BINS) standard deviation of the rays of the slice.
        corners: Of the patches.

    Returns:
        At the frequencies of a 128×128 image.
    """
    canvas, sigma = rays.canvas, sigma.cpu()
    centre = torch.tensor(corners).double() + (PATCH - 1) / 2
    middle = torch.tensor([(n - 1) / 2 for n in canvas.shape])
    y, x = ((centre - middle) * torch.tensor(canvas.spacing) / canvas.pixel).T[..., None]
    variance = (sample_rays(sigma, x * torch.cos(angles()) + y * torch.sin(angles())) ** 2).mean(0)
    rho, theta = frequency_grid((_FINE, _FINE), canvas.spacing)
    return isotropic_nps(rho, rays.calibration) * over_angles(variance.double(), theta)


def through_window(power: torch.Tensor) -> torch.Tensor:
    """The mean of `periodograms` of noise whose power is given at a fourfold finer grid of frequencies.

    By the theorem of Wiener and Khinchin: the noise's autocovariance times the window's autocorrelation.
    """
    taper = window().double()
    lags = torch.fft.irfft2(torch.fft.rfft2(taper, s=(_FINE, _FINE)).abs() ** 2, s=(_FINE, _FINE))
    covariance = torch.fft.irfft2(power, s=(_FINE, _FINE)) * lags / (taper**2).sum()
    return torch.fft.rfft2(covariance).real[:: _FINE // PATCH, :: _FINE // PATCH]
