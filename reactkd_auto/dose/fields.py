"""What training stores of a case's noise, and how it draws any dose from it on patches.

Two independent realisations of the noise added at one reference dose and smooth maps of the SD at a few doses are
kept on the native grid and resampled with the image. Mixing cos φ · n₁ + sin φ · n₂ keeps the covariance and gives
endless realisations; the maps scale it to any dose. Resampling to a coarser grid averages noise and lowers its SD:
that is right, as long as image and noise are resampled alike (the resampled low-dose CT *is* the resampled sum).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from reactkd_auto.errors import UserError

from .degrade import SMALLEST_FRACTION, in_field
from .parameters import DoseCalibration
from .random_numbers import stream_key
from .synthesis import NoiseModel, noise_model
from .volumes import AxialStack, axial_stack

PREFERRED_REFERENCE = 0.25
_SMALLEST_SD_HU = 1e-3


@dataclass(frozen=True, eq=False)
class NoiseFields:
    """Noise of one volume on its native grid.

    Attributes:
        noise: float32 (2, z, y, x) HU, independent realisations of the noise added at ``reference``; 0 outside the
            field of view.
        log_ratio: float32 (doses, z, y, x), ln(SD at the dose / SD at the reference).
        reference: The planned dose nearest to 0.25 (in ln).
        doses: The planned fractions, as given.
        rank: FFTs a slice that the synthesis took.
    """

    noise: NDArray[np.float32]
    log_ratio: NDArray[np.float32]
    reference: float
    doses: tuple[float, ...]
    rank: int


def noise_fields(volume: Any, calibration: DoseCalibration, **options: Any) -> NoiseFields:
    """Synthesise the two realisations and the closed-form SD ratios of a volume; see `open_noise_fields`."""
    fields = open_noise_fields(volume, calibration, **options)
    return fields.of(0, len(fields.stack.array))


def open_noise_fields(
    volume: Any,
    calibration: DoseCalibration,
    *,
    seed: int,
    doses: Sequence[float],
    spacing: tuple[float, float, float] | None = None,
    case: str = "",
    device: torch.device | str = "cpu",
) -> SlicedFields:
    """Prepare the noise of a volume, whose arrays take 4 × (2 + doses) bytes a voxel: `SlicedFields.of` makes them.

    The arrays have the axes of the volume as given (for a SimpleITK image: of its array).

    Args:
        volume, calibration, seed, spacing, case, device: As in `degrade`.
        doses: Planned fractions in (0.005, 1), at least one.

    Raises:
        UserError: As `degrade`, or a planned dose of 1.
    """
    planned = tuple(float(a) for a in doses)
    if not planned or not all(SMALLEST_FRACTION <= a < 1 for a in planned):
        raise UserError(f"dose degradation: found planned doses {planned}, expected fractions below 1.")
    stack = axial_stack(volume, spacing)
    model = noise_model(stack.array, calibration, spacing=stack.spacing, doses=planned, device=torch.device(device))
    keys = (stream_key(seed, f"{case} field 0"), stream_key(seed, f"{case} field 1"))
    return SlicedFields(stack, model, keys, planned)


@dataclass(frozen=True, eq=False)
class SlicedFields:
    """The noise of one volume, made for the slices that are asked for; see `open_noise_fields`."""

    stack: AxialStack
    model: NoiseModel
    keys: tuple[int, int]
    doses: tuple[float, ...]

    @property
    def reference(self) -> float:
        """The planned dose nearest to 0.25 (in ln)."""
        return min(self.doses, key=lambda a: abs(math.log(a / PREFERRED_REFERENCE)))

    def of(self, first: int, stop: int) -> NoiseFields:
        """Fields of the axial slices ``first … stop − 1``, the same whichever others are asked for."""
        model, at = self.model, self.doses.index(self.reference)
        shape = (stop - first, *self.stack.array.shape[1:])
        noise = np.zeros((2, *shape), dtype=np.float32)
        log_ratio = np.zeros((len(self.doses), *shape), dtype=np.float32)
        for indices in model.batches(first, stop):
            here = slice(indices.start - first, indices.stop - first)
            weights = model.weights(model.counts(indices), [(1.0, a) for a in self.doses])
            for stored, key in zip(noise, self.keys, strict=True):
                stored[here] = model.draw(key, indices, weights[:, :, at : at + 1])[:, 0].cpu().numpy()
            ln_sd = model.sd_at_nodes(weights).clamp_min(_SMALLEST_SD_HU).log()
            ratio = model.nodes.enlarge(ln_sd - ln_sd[:, at : at + 1])
            log_ratio[:, here] = ratio.transpose(0, 1).cpu().numpy()
        noise *= in_field(self.stack.array[first:stop])
        given = self.stack.as_given
        return NoiseFields(given(noise), given(log_ratio), self.reference, self.doses, model.rank)


def draw_dose_noise(
    noise: torch.Tensor,
    log_ratio: torch.Tensor,
    log_doses: torch.Tensor,
    dose: torch.Tensor,
    angle: torch.Tensor,
) -> torch.Tensor:
    """Noise of one dose a sample, from stored fields; no host synchronisation.

    ln SD is interpolated relative to the quantum law √((1−a)/a), linearly in ln((1−a)/a) and constant beyond the
    planned doses: exact for that law at every dose, and exactly 0 at a = 1.

    Args:
        noise: (B, 2, z, y, x) HU at the reference dose.
        log_ratio: (B, K, z, y, x).
        log_doses: (K,) ln of the planned doses, any order, all below 0.
        dose: (B,) fractions in (0, 1].
        angle: (B,) mixing angles φ in radians, uniform over 2π in training.

    Returns:
        (B, 1, z, y, x) HU to be added, of ``noise``'s dtype.
    """
    planned, order = torch.sort(_log_odds(log_doses.float()))
    dose = dose.float().clamp(1e-4, 1)
    shares = torch.zeros(len(dose), len(planned), device=dose.device)
    shares[:, order] = _interpolation_shares(planned, _log_odds(torch.log(dose)))
    quantum = torch.sqrt((1 - dose) / dose) * torch.exp(-_log_odds(log_doses.float()) @ shares.T / 2)
    scale = torch.exp(torch.einsum("bk,bkzyx->bzyx", shares, log_ratio.float())) * quantum.view(-1, 1, 1, 1)
    cos, sin = (f(angle.float()).view(-1, 1, 1, 1) for f in (torch.cos, torch.sin))
    return ((cos * noise[:, 0] + sin * noise[:, 1]) * scale)[:, None].to(noise.dtype)


def _log_odds(log_dose: torch.Tensor) -> torch.Tensor:
    """ln((1 − a) / a) of ln a, finite at a = 1."""
    return torch.log((-torch.expm1(log_dose)).clamp_min(1e-12)) - log_dose


def _interpolation_shares(nodes: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """(B, K) weights of linear interpolation on rising nodes (K,), constant beyond them."""
    if len(nodes) == 1:
        return torch.ones(len(at), 1, dtype=at.dtype, device=at.device)
    at = at.clamp(nodes[0], nodes[-1])
    upper = torch.searchsorted(nodes, at).clamp(1, len(nodes) - 1)
    low, high = nodes[upper - 1], nodes[upper]
    t = (at - low) / (high - low).clamp_min(1e-12)
    columns = torch.arange(len(nodes), device=at.device)
    return (columns == (upper - 1)[:, None]) * (1 - t)[:, None] + (columns == upper[:, None]) * t[:, None]
