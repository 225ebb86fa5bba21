"""Non-stationary, directional CT noise from a few FFTs.

n(x) = Σ_k s_k(x) · IFFT[W(ξ) √NPS₀(|ξ|) g_k(arg ξ)], s_k(x) = Σ_θ g_k(θ) σ_θ(x·θ): σ is smooth, so it commutes with the
ramp filter up to kernel width over the scale of σ, and no back-projection is needed. The FFTs do not depend on the
dose, so doses share them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .basis import angular_basis, angular_profiles
from .engine import DoseStep, NoiseEngine
from .geometry import BINS, HU_PER_MU, Canvas
from .nps import frequency_grid, isotropic_nps, over_angles, ram_lak, refine_angles
from .parameters import DoseCalibration
from .random_numbers import standard_normal
from .rays import RayNoise

_BASIS_SLICES = 12
_SMALLEST_FFT = 96
_PADDING = 28


@dataclass(frozen=True, eq=False)
class NoiseModel(NoiseEngine):
    """Everything that the noise of one volume needs; build it with `noise_model`.

    Attributes:
        basis: (ANGLES, r) directions g_k.
        filters: (r, rows, columns // 2 + 1) √NPS₀ g_k on the FFT grid, for unit white noise in the pixels.
        covariance: (r, r) C_kl = mean over frequencies of NPS₀ g_k g_l.
        fft_size: Rows and columns of the FFT, padded.
    """

    basis: torch.Tensor
    filters: torch.Tensor
    covariance: torch.Tensor
    fft_size: tuple[int, int]

    @property
    def rank(self) -> int:
        """Number of FFTs a slice, r."""
        return int(self.basis.shape[1])

    def counts(self, indices: range) -> torch.Tensor:
        """Full-dose counts of the rays of some slices."""
        return self.rays.counts(self.slices(indices), indices.start)

    def noise(self, indices: range, steps: Sequence[DoseStep]) -> torch.Tensor:
        """As every engine; steps of one key share the FFTs."""
        counts = self.counts(indices)
        images: dict[int, torch.Tensor] = {}
        parts: list[torch.Tensor] = []
        for step in steps:
            if step.key not in images:
                images = {step.key: self.components(step.key, indices)}
            sigma = self.rays.added_sigma(counts, step.dose, step.start)
            parts.append(self.mix(self.weights(sigma), images[step.key]))
        return torch.stack(parts, dim=1)

    def weights(self, sigma: torch.Tensor) -> torch.Tensor:
        """s_k of ray standard deviations (n, ANGLES, BINS), on the coarse grid: (n, r, GRID, GRID)."""
        spread = sigma.permute(1, 2, 0).contiguous()[..., None] * self.basis[:, None, None, :]
        return self.rays.projector.average_back(spread).unflatten(0, (len(sigma), self.rank))

    def components(self, key: int, indices: range) -> torch.Tensor:
        """The r filtered white-noise images of some slices, (n, r, rows, columns), HU for a unit σ."""
        spectrum = torch.fft.rfft2(self.white_noise(key, indices))
        images = torch.fft.irfft2(spectrum[:, None] * self.filters, s=self.fft_size)
        rows, columns = self.rays.canvas.shape
        return images[..., :rows, :columns]

    def white_noise(self, key: int, indices: range) -> torch.Tensor:
        """(n, *fft_size) unit white noise of a stream, correlated along z by the calibration's taps."""
        taps = self.rays.calibration.z_taps
        reach = len(taps) // 2
        rows = range(indices.start - reach, indices.stop + reach)
        size = self.fft_size[0] * self.fft_size[1]
        noise = standard_normal(key, rows, size, self.rays.device)
        mixed = sum(t * noise[j : j + len(indices)] for j, t in enumerate(taps))
        assert isinstance(mixed, torch.Tensor)
        return mixed.reshape(len(indices), *self.fft_size)

    def mix(self, weights: torch.Tensor, components: torch.Tensor) -> torch.Tensor:
        """Σ_k s_k(x) · component_k: (n, rows, columns) HU."""
        enlarged = self.rays.canvas.enlarge(weights)
        total = enlarged[:, 0] * components[:, 0]
        for k in range(1, self.rank):
            total.addcmul_(enlarged[:, k], components[:, k])
        return total

    def coarse_variance(self, weights: torch.Tensor) -> torch.Tensor:
        """Closed-form variance Σ_kl s_k s_l C_kl on the coarse grid, HU²: (n, GRID, GRID)."""
        return torch.einsum("nkyx,kl,nlyx->nyx", weights, self.covariance, weights).clamp_min(0)

    def added_sd(self, indices: range, doses: Sequence[float]) -> torch.Tensor:
        """Closed-form SD map of the added noise on the image's grid, HU: (n, doses, rows, columns)."""
        counts = self.counts(indices)
        maps = [self.coarse_variance(self.weights(self.rays.added_sigma(counts, a))).sqrt() for a in doses]
        return self.rays.canvas.enlarge(torch.stack(maps, dim=1))

    def bias(self, indices: range, doses: Sequence[float]) -> torch.Tensor:
        """As every engine: FBP of β(aN) − β(N), with the Ram-Lak filter at the coarse ray pitch, for it is smooth."""
        counts, canvas = self.counts(indices), self.rays.canvas
        added = torch.cat([self.rays.added_bias(counts, a) for a in doses])
        response = ram_lak(2 * BINS, canvas.pixel).to(added)
        filtered = torch.fft.irfft(torch.fft.rfft(added, n=2 * BINS) * response, n=2 * BINS)[..., :BINS]
        coarse = self.rays.projector.average_back(filtered.permute(1, 2, 0).contiguous())
        by_dose = (coarse * (HU_PER_MU * torch.pi / added.shape[1])).unflatten(0, (len(doses), len(indices)))
        return canvas.enlarge(by_dose.transpose(0, 1))


def noise_model(
    volume: NDArray[np.generic],
    calibration: DoseCalibration,
    *,
    spacing: tuple[float, float, float],
    doses: Sequence[float],
    device: torch.device,
    largest_rank: int | None = None,
) -> NoiseModel:
    """Fix the angular basis of a volume for the doses wanted, and the filters of the FFT grid.

    Args:
        volume: (z, y, x) HU.
        calibration: Of this volume.
        spacing: (z, y, x) mm.
        doses: Fractions whose angular profiles the basis must hold.
        device: Where to compute.
        largest_rank: Cap on r, for benchmarks and negative controls.
    """
    rows, columns = int(volume.shape[1]), int(volume.shape[2])
    canvas = Canvas((rows, columns), spacing[1:], calibration.ellipse_mm)
    rays = RayNoise(canvas, calibration, device)
    basis = angular_basis(_profiles(volume, rays, doses))[:, :largest_rank].to(device)
    size = (_fft_length(rows), _fft_length(columns))
    rho, theta = frequency_grid(size, spacing[1:])
    pixel_area = spacing[1] * spacing[2]
    amplitude = (isotropic_nps(rho, calibration) / pixel_area).sqrt()
    filters = amplitude * over_angles(refine_angles(basis.T.double().cpu()), theta)
    # The real FFT holds one half of the plane: its inner columns stand for two frequencies each.
    weight = torch.full((filters.shape[2],), 2.0, dtype=torch.float64)
    weight[0] = 1
    weight[-1] = 1 if size[1] % 2 == 0 else 2
    covariance = torch.einsum("kyx,lyx,x->kl", filters, filters, weight) / (size[0] * size[1])
    return NoiseModel(volume, rays, basis, filters.float().to(device), covariance.float().to(device), size)


def _profiles(volume: NDArray[np.generic], rays: RayNoise, doses: Sequence[float]) -> Iterator[torch.Tensor]:
    """Angular profiles of up to `_BASIS_SLICES` evenly spaced slices, at every dose."""
    chosen = np.unique(np.linspace(0, len(volume) - 1, min(_BASIS_SLICES, len(volume))).round().astype(int))
    used = _image_area(rays.canvas)
    for z in chosen:
        hu = torch.from_numpy(np.ascontiguousarray(volume[z : z + 1], dtype=np.float32)).to(rays.device)
        coarse = rays.canvas.attenuation(hu)[0]
        counts = rays.counts(hu, int(z))
        for dose in doses:
            yield angular_profiles(rays.added_sigma(counts, dose)[0], coarse, used.to(coarse.device))


def _image_area(canvas: Canvas) -> torch.Tensor:
    """(GRID, GRID) bool: coarse pixels that the image covers, at least in part."""
    rows, columns = (canvas.averaging(axis).sum(1) > 0 for axis in (0, 1))
    return rows[:, None] & columns[None]


def _fft_length(n: int) -> int:
    """Smallest even length of prime factors 2, 3, 5 that holds n and the padding."""
    length = max(n + _PADDING, _SMALLEST_FFT)
    while length % 2 or not _smooth(length):
        length += 1
    return length


def _smooth(n: int) -> bool:
    for prime in (2, 3, 5):
        while n % prime == 0:
            n //= prime
    return n == 1
