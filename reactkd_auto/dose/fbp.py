"""Noise by counting photons in every ray and back-projecting them: the slow oracle beside `synthesis`.

Every reading is drawn as −ln(max(Poisson(aN) + σ_e G, floor) / aN), readings are merged into rays, their expectation is
taken off, and what is left is scaled so that only the variance that the lower dose adds is added; then ramp filter,
kernel and back-projection at full resolution. Nothing is assumed to be smooth, stationary or of low rank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .beam import ParallelBeam
from .engine import DoseStep, NoiseEngine
from .geometry import HU_PER_MU, Canvas
from .nps import kernel_h2, ram_lak
from .parameters import RAY_PITCH_MM, VIEWS, DoseCalibration
from .random_numbers import poisson_quantile, standard_normal
from .rays import RayNoise

_FINER = 2
"""Samples a ray that filtered views are interpolated on; what linear interpolation between them blurs is undone."""
_FEWEST_COUNTS = 1e-2


@dataclass(frozen=True, eq=False)
class FbpEngine(NoiseEngine):
    """Count-domain noise of one volume; build it with `fbp_engine`.

    Attributes:
        beam: Rays at full resolution.
        response: (frequencies,) kernel over the real FFT of zero-padded views, mm⁻¹.
    """

    beam: ParallelBeam
    response: torch.Tensor

    def counts(self, indices: range) -> torch.Tensor:
        """Expected counts of one reading at full dose, (n, VIEWS, bins)."""
        path = self.beam.line_integrals(self.slices(indices))
        return self.rays.expected(path, self.beam.u, indices.start)

    def noise(self, indices: range, steps: Sequence[DoseStep]) -> torch.Tensor:
        """As every engine: counted, filtered, back-projected."""
        counts = self.counts(indices)
        return torch.stack([self.reconstruct(self.ray_noise(counts, indices, s)) for s in steps], dim=1)

    def bias(self, indices: range, doses: Sequence[float]) -> torch.Tensor:
        """As every engine: FBP of β(aN) − β(N)."""
        counts = self.counts(indices)
        return torch.stack([self.reconstruct(self.rays.added_bias(counts, a)) for a in doses], dim=1)

    def reconstruct(self, rays: torch.Tensor) -> torch.Tensor:
        """Filtered back-projection of (n, VIEWS, bins) log data: (n, rows, columns) HU."""
        length = 2 * (len(self.response) - 1)
        filtered = torch.fft.irfft(torch.fft.rfft(rays, n=length) * self.response, n=_FINER * length)
        finer = filtered[..., : _FINER * self.beam.bins] * (_FINER * HU_PER_MU * math.pi / VIEWS)
        return self.beam.back_project(finer)

    def ray_noise(self, counts: torch.Tensor, indices: range, step: DoseStep) -> torch.Tensor:
        """Log data that the step adds, zero on average.

        Slices share the random numbers of their neighbours by the calibration's taps, each at its own counts.
        """
        mean, table = counts.mul(step.dose).clamp_min(_FEWEST_COUNTS), self.rays.table
        taps = self.rays.calibration.z_taps
        total = torch.zeros_like(mean)
        for j, tap in enumerate(taps, start=-(len(taps) // 2)):
            total += tap * self._log_readings(mean, range(indices.start + j, indices.stop + j), step.key)
        total -= sum(taps) * table.log_bias(mean)
        return total * (table.added_variance(counts, step.dose, step.start) / table.variance(mean)).sqrt()

    def _log_readings(self, mean: torch.Tensor, rows: range, key: int) -> torch.Tensor:
        """−ln(signal / mean) averaged over the readings of each ray."""
        calibration, size = self.rays.calibration, mean[0].numel()
        total = torch.zeros_like(mean)
        for reading in range(calibration.readings):
            normal = standard_normal(key, rows, 2 * size, self.rays.device, block=reading + 1)
            photons, electrons = normal.view(len(rows), 2, *mean.shape[1:]).unbind(1)
            signal = poisson_quantile(mean, photons) + calibration.electronic_noise * electrons
            total -= (signal.clamp_min(calibration.floor) / mean).log()
        return total / calibration.readings


def fbp_engine(
    volume: NDArray[np.generic],
    calibration: DoseCalibration,
    *,
    spacing: tuple[float, float, float],
    doses: Sequence[float],
    device: torch.device,
) -> FbpEngine:
    """The engine of one volume.

    Args:
        volume: (z, y, x) HU.
        calibration: Of this volume.
        spacing: (z, y, x) mm.
        doses: Not needed: nothing is prepared for particular doses.
        device: Where to compute.
    """
    canvas = Canvas((int(volume.shape[1]), int(volume.shape[2])), spacing[1:], calibration.ellipse_mm)
    rays, beam = RayNoise(canvas, calibration, device), ParallelBeam(canvas, device)
    return FbpEngine(volume, rays, beam, _response(beam.bins, calibration).to(device))


def _response(bins: int, calibration: DoseCalibration) -> torch.Tensor:
    """Ramp × H over views padded to twice their length, sharpened by what linear interpolation will blur.

    Interpolating samples δ apart multiplies a spectrum by sinc²(ρδ).
    """
    length = 2 ** math.ceil(math.log2(2 * bins))
    rho = torch.fft.rfftfreq(length, d=RAY_PITCH_MM, dtype=torch.float64)
    blur = torch.sinc(rho * RAY_PITCH_MM / _FINER) ** 2
    return (ram_lak(length, RAY_PITCH_MM) * kernel_h2(rho, calibration).sqrt() / blur).float()
