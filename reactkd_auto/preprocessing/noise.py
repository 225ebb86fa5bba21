"""Noise of lower doses, made on the scanner's grid and brought onto the case's like the image itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.cases import LOG_RATIO_SCALE, NOISE_SCALE_HU
from reactkd_auto.jsonio import to_plain
from reactkd_auto.plan import DosePlan

from .channels import to_int16
from .grid import Grid
from .resample import antialiasing_sigmas, resample, source_window

if TYPE_CHECKING:
    from reactkd_auto.dose import DoseCalibration

SLICES_BEYOND = 4
"""Slices on each side of those needed, so that the correlation along z does not notice the cut."""
LARGEST_TILT = 1e-3


@dataclass(frozen=True)
class NoiseSource:
    """What a case's noise is made from.

    Attributes:
        calibration: Of the whole CT, as the fingerprint has it.
        seed: Of the realisations.
        flags: Sentences about it that a person should read.
    """

    calibration: DoseCalibration
    seed: int
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredNoise:
    """Noise as a case stores it; see `PreprocessedCase`."""

    noise: NDArray[np.int16]
    log_ratio: NDArray[np.int16]
    levels: tuple[float, ...]
    calibration: dict[str, Any] | None
    flags: tuple[str, ...] = ()


def no_noise(grid: Grid) -> StoredNoise:
    """Empty arrays: dose degradation is off."""
    empty = np.zeros((0, *grid.size), np.int16)
    return StoredNoise(empty, empty, (), None)


def store_noise(base: sitk.Image, grid: Grid, dose: DosePlan, source: NoiseSource, *, case: str) -> StoredNoise:
    """Synthesise where the grid needs it; resample.

    Args:
        base: CT in HU, native grid.
        grid: The case's.
        dose: For the levels.
        source: Calibration and seed.
        case: Its name, part of the seed.
    """
    from reactkd_auto.dose import noise_fields

    slab, calibration = _needed_slices(base, grid, source.calibration)
    fields = noise_fields(slab, calibration, seed=source.seed, doses=dose.levels, case=case)
    noise = np.stack([to_int16(resample(_like(n, slab), grid), NOISE_SCALE_HU) for n in fields.noise])
    ratio = np.stack(
        [to_int16(resample(_like(r, slab), grid, smooth=False), LOG_RATIO_SCALE) for r in fields.log_ratio]
    )
    document = {**to_plain(source.calibration), "reference_dose": fields.reference}
    return StoredNoise(noise, ratio, dose.levels, document, source.flags)


def _needed_slices(base: sitk.Image, grid: Grid, calibration: DoseCalibration) -> tuple[sitk.Image, DoseCalibration]:
    """Whole slices of the CT that the grid depends on, with their flux; all of it where it was not cut axially."""
    z_axis = np.array(base.GetDirection()).reshape(3, 3)[:, 2]
    if abs(abs(z_axis[2]) - 1) > LARGEST_TILT:
        return base, calibration
    begin, end = source_window(base, grid, antialiasing_sigmas(base, grid))
    first = max(0, begin[2] - SLICES_BEYOND)
    stop = min(base.GetSize()[2], end[2] + 1 + SLICES_BEYOND)
    flux = (
        tuple(calibration.slice_flux(i) for i in range(first, stop)) if len(calibration.flux) > 1 else calibration.flux
    )
    return base[:, :, first:stop], dataclasses.replace(calibration, flux=flux)


def _like(array: NDArray[np.float32], image: sitk.Image) -> sitk.Image:
    result = sitk.GetImageFromArray(array)
    result.CopyInformation(image)
    return result
