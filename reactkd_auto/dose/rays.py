"""Expected counts and noise of every ray of a slice."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .counts import CountTable, count_table
from .geometry import Canvas, Projector, bin_centres, projector
from .parameters import BOWTIE_MM, DoseCalibration


@dataclass(frozen=True, eq=False)
class RayNoise:
    """Noise of the rays of one CT.

    Attributes:
        canvas, calibration, device: Geometry, scan, and where the arithmetic runs.
    """

    canvas: Canvas
    calibration: DoseCalibration
    device: torch.device

    @property
    def projector(self) -> Projector:
        """The sparse projector of the device."""
        return projector(self.device)

    @property
    def table(self) -> CountTable:
        """Exact count statistics of a reading."""
        return count_table(self.calibration.electronic_noise, self.calibration.floor)

    def counts(self, hu: torch.Tensor, first: int) -> torch.Tensor:
        """Expected counts of one reading at full dose, (slices, ANGLES, BINS).

        Args:
            hu: (slices, rows, columns) HU on the device.
            first: Index in the volume of the first of them (its flux).
        """
        path = self.projector.project(self.canvas.attenuation(hu)) * self.canvas.pixel
        return self.expected(path, bin_centres(path.device) * self.canvas.pixel, first)

    def expected(self, path: torch.Tensor, u: torch.Tensor, first: int) -> torch.Tensor:
        """Expected counts of one reading at full dose, of ``path``'s shape.

        Args:
            path: (slices, views, bins) line integrals.
            u: (bins,) detector coordinates, mm from the centre.
            first: Index in the volume of the first slice.
        """
        flux = torch.tensor([self.calibration.slice_flux(first + i) for i in range(len(path))]).to(path)
        exponent = modulation(path, self.calibration.tube_modulation) - path
        exponent = exponent - self.calibration.bowtie * bowtie_profile(u)
        return flux[:, None, None] / self.calibration.readings * torch.exp(exponent)

    def added_sigma(self, counts: torch.Tensor, dose: float, dose_from: float = 1.0) -> torch.Tensor:
        """Standard deviation that rays gain when the dose falls from ``dose_from`` to ``dose``."""
        return (self.table.added_variance(counts, dose, dose_from) / self.calibration.readings).sqrt()

    def added_bias(self, counts: torch.Tensor, dose: float) -> torch.Tensor:
        """Mean that rays gain: β(aN) − β(N)."""
        return self.table.log_bias(counts * dose) - self.table.log_bias(counts)


def bowtie_profile(u_mm: torch.Tensor) -> torch.Tensor:
    """(u / 150 mm)², held beyond 300 mm."""
    return (u_mm / BOWTIE_MM).clamp(-2, 2) ** 2


def modulation(path: torch.Tensor, exponent: float | torch.Tensor) -> torch.Tensor:
    """ln t = κ (max_u p_θ − its mean over θ), (slices, ANGLES, 1): angular tube-current modulation."""
    longest = path.amax(dim=-1, keepdim=True).clamp_max(12)
    return exponent * (longest - longest.mean(dim=-2, keepdim=True))
