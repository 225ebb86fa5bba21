"""Non-stationary, directional CT noise from a few FFTs.

n(x) = Σ_k s_k(x) · IFFT[W(ξ) √NPS₀(|ξ|) g_k(arg ξ)], s_k(x) = Σ_θ g_k(θ) σ_θ(x·θ): σ is smooth, so it commutes with the
ramp filter up to kernel width over the scale of σ, and no back-projection is needed. The FFTs do not depend on the
dose, so doses share them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from .basis import angular_basis, angular_profiles
from .engine import DoseStep, NoiseEngine
from .geometry import BINS, HU_PER_MU, TOGETHER, Canvas, bin_centres
from .nodes import Nodes
from .nps import frequency_grid, isotropic_nps, over_angles, ram_lak, refine_angles
from .parameters import DoseCalibration
from .rays import RayNoise
from .white_noise import WhiteNoise

_BASIS_SLICES = 12
_SMALLEST_FFT = 96
_PADDING = 28


@dataclass(frozen=True, eq=False)
class NoiseModel(NoiseEngine):
    """Everything that the noise of one volume needs; build it with `noise_model`.

    Attributes:
        basis: (ANGLES, r) directions g_k.
        filters: (r, rows, columns // 2 + 1) √NPS₀ g_k on the FFT grid, for `WhiteNoise` and a transform that sums.
        covariance: (r, r) C_kl = mean over frequencies of NPS₀ g_k g_l.
        fft_size: Rows and columns of the FFT, padded.
    """

    cuda_batch: ClassVar[int] = 32

    basis: torch.Tensor
    filters: torch.Tensor
    covariance: torch.Tensor
    fft_size: tuple[int, int]
    _ahead: dict[range, torch.Tensor] = field(default_factory=dict, init=False)

    @property
    def rank(self) -> int:
        """Number of FFTs a slice, r."""
        return int(self.basis.shape[1])

    @cached_property
    def nodes(self) -> Nodes:
        """Where s_k are evaluated."""
        return Nodes(self.rays.canvas, self.rays.device)

    @cached_property
    def white(self) -> WhiteNoise:
        """W of every slice."""
        return WhiteNoise(self.fft_size, self.rays.calibration.z_taps, self.rays.device)

    def counts(self, indices: range) -> torch.Tensor:
        """Full-dose counts of the rays of some slices.

        The slices that follow are projected in the same pass and kept.
        """
        for ahead, counts in self._ahead.items():
            if ahead.start <= indices.start and indices.stop <= ahead.stop:
                return counts[indices.start - ahead.start : indices.stop - ahead.start]
        ahead = range(indices.start, max(indices.stop, min(indices.start + TOGETHER, len(self.volume))))
        self._ahead.clear()
        self._ahead[ahead] = self.rays.counts(self.slices(ahead), ahead.start)
        return self._ahead[ahead][: len(indices)]

    def noise(self, indices: range, steps: Sequence[DoseStep]) -> torch.Tensor:
        """As every engine; steps that all have one key share the FFTs."""
        weights = self.weights(self.counts(indices), [(step.start, step.dose) for step in steps])
        if len({step.key for step in steps}) == 1:
            return self.draw(steps[0].key, indices, weights)
        drawn = [self.draw(step.key, indices, weights[:, :, i : i + 1]) for i, step in enumerate(steps)]
        return torch.cat(drawn, dim=1)

    def weights(self, counts: torch.Tensor, falls: Sequence[tuple[float, float]]) -> torch.Tensor:
        """s_k at the nodes for rays of given counts, when the dose falls from … to …: (r, n, falls, *nodes)."""
        by_fall = [self.basis.T @ self.nodes.look_up(sigma) for sigma in self.rays.added_sigma(counts, falls)]
        return torch.stack(by_fall).permute(2, 1, 0, 3).unflatten(3, self.nodes.shape)

    def draw(self, key: int, indices: range, weights: torch.Tensor) -> torch.Tensor:
        """Σ_k s_k(x) · IFFT[W √NPS₀ g_k] of a stream's white noise: (n, falls, rows, columns) HU."""
        white = self.white.spectrum(key, indices)
        high, wide = (step * (n - 1) for step, n in zip(self.nodes.steps, self.nodes.shape, strict=True))
        noise = weights.new_zeros(len(indices), weights.shape[2], high, wide)
        for at_nodes, filter_ in zip(weights, self.filters, strict=True):
            # Both axes by hand: the second transform can leave out the padding's rows.
            half = torch.fft.ifft(white * filter_, dim=1, norm="forward")[:, :high]
            image = torch.fft.irfft(half, n=self.fft_size[1], dim=2, norm="forward")[:, None, :, :wide]
            noise.addcmul_(self.nodes.fill(at_nodes), image)
        return noise[..., : self.volume.shape[1], : self.volume.shape[2]]

    def added_sd(self, indices: range, doses: Sequence[float]) -> torch.Tensor:
        """Closed-form SD map of the added noise on the image's grid, HU: (n, doses, rows, columns)."""
        weights = self.weights(self.counts(indices), [(1.0, dose) for dose in doses])
        return self.nodes.enlarge(self.sd_at_nodes(weights))

    def sd_at_nodes(self, weights: torch.Tensor) -> torch.Tensor:
        """√(Σ_kl s_k s_l C_kl) of (r, n, falls, *nodes) weights, HU: (n, falls, *nodes)."""
        mixed = (self.covariance @ weights.flatten(1)).view_as(weights)
        return (mixed * weights).sum(0).clamp_min(0).sqrt()

    def bias(self, indices: range, doses: Sequence[float]) -> torch.Tensor:
        """As every engine: FBP of β(aN) − β(N), with the Ram-Lak filter at the coarse ray pitch, for it is smooth."""
        counts = self.counts(indices)
        added = torch.cat([self.rays.added_bias(counts, a) for a in doses])
        response = ram_lak(2 * BINS, self.rays.canvas.pixel).to(added)
        filtered = torch.fft.irfft(torch.fft.rfft(added, n=2 * BINS) * response, n=2 * BINS)[..., :BINS]
        at_nodes = self.nodes.look_up(filtered).mean(1).view(len(doses), len(indices), *self.nodes.shape)
        return self.nodes.enlarge(at_nodes.transpose(0, 1) * (HU_PER_MU * torch.pi))


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
    filters = amplitude.to(device) * over_angles(refine_angles(basis.T.double()), theta.to(device))
    filters *= math.sqrt(0.5 / (size[0] * size[1]))
    # The real FFT holds one half of the plane: its inner columns stand for two frequencies each.
    flat = torch.cat([filters[:, :, 1:-1] * 2, filters[:, :, [0, -1]] * math.sqrt(2)], dim=2).flatten(1)
    return NoiseModel(volume, rays, basis, filters.float(), (flat @ flat.T).float(), size)


def _profiles(volume: NDArray[np.generic], rays: RayNoise, doses: Sequence[float]) -> Iterator[torch.Tensor]:
    """Angular profiles of up to `_BASIS_SLICES` evenly spaced slices, at every dose."""
    chosen = np.unique(np.linspace(0, len(volume) - 1, min(_BASIS_SLICES, len(volume))).round().astype(int))
    used = _image_area(rays.canvas).to(rays.device)
    canvas, u = rays.canvas, bin_centres(rays.device) * rays.canvas.pixel
    hu = (torch.from_numpy(np.array(volume[z : z + 1], dtype=np.float32)).to(rays.device) for z in chosen)
    coarse = torch.cat([canvas.attenuation(slice_) for slice_ in hu])
    for z, path, attenuation in zip(chosen, rays.projector.project(coarse) * canvas.pixel, coarse, strict=True):
        counts = rays.expected(path[None], u, int(z))
        for sigma in rays.added_sigma(counts, [(1.0, dose) for dose in doses]):
            yield angular_profiles(sigma[0], attenuation, used)


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
