"""Expected counts and noise of every ray of a slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

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

    @cached_property
    def table(self) -> CountTable:
        """Exact count statistics of a reading, on the device."""
        table = count_table(self.calibration.electronic_noise, self.calibration.floor)
        return CountTable(table.ln_variance.to(self.device), table.bias.to(self.device))

    @cached_property
    def _flux(self) -> torch.Tensor:
        return torch.tensor(self.calibration.flux, dtype=torch.float64, device=self.device)

    def counts(self, hu: torch.Tensor, first: int) -> torch.Tensor:
        """Expected counts of one reading at full dose, (slices, ANGLES, BINS).

        Args:
            hu: (slices, rows, columns) HU on the device.
            first: Index in the volume of the first of them (its flux).
        """
        # One by one where it costs nothing: matrix products of other shapes may round otherwise.
        parts = hu.split(len(hu) if self.device.type == "cuda" else 1)
        coarse = torch.cat([self.canvas.attenuation(part) for part in parts])
        path = self.projector.project(coarse) * self.canvas.pixel
        return self.expected(path, bin_centres(path.device) * self.canvas.pixel, first)

    def expected(self, path: torch.Tensor, u: torch.Tensor, first: int) -> torch.Tensor:
        """Expected counts of one reading at full dose, of ``path``'s shape.

        Args:
            path: (slices, views, bins) line integrals.
            u: (bins,) detector coordinates, mm from the centre.
            first: Index in the volume of the first slice.
        """
        indices = torch.arange(first, first + len(path), device=self.device).clamp(0, len(self._flux) - 1)
        exponent = modulation(path, self.calibration.tube_modulation) - path
        exponent = exponent - self.calibration.bowtie * bowtie_profile(u)
        return self._flux[indices, None, None].to(path) / self.calibration.readings * torch.exp(exponent)

    def added_sigma(self, counts: torch.Tensor, falls: Sequence[tuple[float, float]]) -> torch.Tensor:
        """Standard deviation that rays gain at each fall of the dose.

        Args:
            counts: Of one reading at full dose.
            falls: Doses that it falls from and to.

        Returns:
            (falls, *counts.shape).
        """
        variance = {dose: self.table.variance(counts * dose) for dose in {dose for fall in falls for dose in fall}}
        added = torch.stack([variance[after] - variance[before] for before, after in falls])
        return added.clamp_min_(0).div_(self.calibration.readings).sqrt_()

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
