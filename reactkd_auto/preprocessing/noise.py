"""Noise of lower doses, made on the scanner's grid and brought onto the case's like the image itself."""

from __future__ import annotations

import dataclasses
import math
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

MOST_VOXELS = 2**25
"""Of a CT, whose fields are in memory at a time: about 1 GB."""
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
    """Synthesise where the grid needs it, slab by slab where that is more than `MOST_VOXELS`; resample.

    Args:
        base: CT in HU, native grid.
        grid: The case's.
        dose: For the levels.
        source: Calibration and seed.
        case: Its name, part of the seed.
    """
    from reactkd_auto.dose import open_noise_fields

    slab, calibration = _needed_slices(base, grid, source.calibration)
    fields = open_noise_fields(slab, calibration, seed=source.seed, doses=dose.levels, case=case)
    noise = np.empty((2, *grid.size), np.int16)
    ratio = np.empty((len(dose.levels), *grid.size), np.int16)
    as_stored = fields.stack.order == (0, 1, 2)
    parts = grid.slabs(math.ceil(math.prod(slab.GetSize()) / MOST_VOXELS) if as_stored else 1)
    for where, part in parts:
        first, stop = (0, slab.GetSize()[2]) if len(parts) == 1 else _slices_of(slab, part)
        piece, made = slab[:, :, first:stop], fields.of(first, stop)
        for i, values in enumerate(made.noise):
            noise[i, where] = to_int16(resample(_like(values, piece), part), NOISE_SCALE_HU)
        for i, values in enumerate(made.log_ratio):
            ratio[i, where] = to_int16(resample(_like(values, piece), part, smooth=False), LOG_RATIO_SCALE)
        del made, values, piece  # before the next slab's are made
    document = {**to_plain(source.calibration), "reference_dose": fields.reference}
    return StoredNoise(noise, ratio, dose.levels, document, source.flags)


def _slices_of(image: sitk.Image, grid: Grid) -> tuple[int, int]:
    """First slice of an image that a grid depends on, and the one after the last."""
    begin, end = source_window(image, grid, antialiasing_sigmas(image, grid))
    return begin[2], end[2] + 1


def _needed_slices(base: sitk.Image, grid: Grid, calibration: DoseCalibration) -> tuple[sitk.Image, DoseCalibration]:
    """Whole slices of the CT that the grid depends on, with their flux; all of it where it was not cut axially."""
    z_axis = np.array(base.GetDirection()).reshape(3, 3)[:, 2]
    if abs(abs(z_axis[2]) - 1) > LARGEST_TILT:
        return base, calibration
    begin, end = _slices_of(base, grid)
    first, stop = max(0, begin - SLICES_BEYOND), min(base.GetSize()[2], end + SLICES_BEYOND)
    if (first, stop) == (0, base.GetSize()[2]):
        return base, calibration  # a copy of a large CT would not fit
    flux = (
        tuple(calibration.slice_flux(i) for i in range(first, stop)) if len(calibration.flux) > 1 else calibration.flux
    )
    return base[:, :, first:stop], dataclasses.replace(calibration, flux=flux)


def _like(array: NDArray[np.float32], image: sitk.Image) -> sitk.Image:
    result = sitk.GetImageFromArray(array)
    result.CopyInformation(image)
    return result
