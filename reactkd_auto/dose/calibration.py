"""Calibration of the noise model from a full-dose CT alone."""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .geometry import Canvas
from .parameters import DEFAULT_ELLIPSE_MM, DoseCalibration, preset
from .patches import PATCH, Patches, find_patches
from .rays import RayNoise
from .volumes import AxialStack, axial_stack
from .whittle import WhittleFit, fit

_log = logging.getLogger(__name__)

FEWEST_PATCHES = 24
MOST_PATCHES = 320
_MOST_SLICES = 24
_PATCHES_A_GROUP = 8
_LARGEST_PIXEL_MM = 1.6
_WHOLE_BODY_MM = 200.0
_BORDER_TISSUE = 0.3
_LOWEST_CENTROID = 0.13
_FLUX_RANGE = (1e3, 1e9)
_SMALLEST_SD_HU = 1.0
_Z_CORRELATION_MIN = 0.05


def calibrate(
    volume: Any,
    *,
    spacing: tuple[float, float, float] | None = None,
    kernel: str = "standard",
) -> DoseCalibration:
    """Estimate flux, kernel, bowtie, tube-current modulation and z-correlation from soft-tissue patches.

    Where that is impossible (crops with few homogeneous patches, resampled, denoised or iterative images) the preset of
    `kernel` is returned with the reason in ``fallback``; small volumes never raise.

    Args:
        volume: SimpleITK image of HU, or (z, y, x) array with ``spacing`` (z, y, x) in mm.
        spacing: Of an array.
        kernel: Preset: ``soft``, ``standard`` or ``sharp``.

    Raises:
        UserError: Not a 3D CT in HU.
    """
    stack = axial_stack(volume, spacing)
    ellipse = assumed_ellipse(stack)
    patches = find_patches(stack.array, stack.spacing, _chosen_slices(len(stack.array)), most=MOST_PATCHES)
    start = preset(reason="", slice_mm=stack.spacing[0], ellipse_mm=ellipse, kernel=kernel, patches=len(patches))
    reason = _not_measurable(stack, patches)
    if reason is None:
        canvas = Canvas((stack.array.shape[1], stack.array.shape[2]), stack.spacing[1:], ellipse)
        rays = RayNoise(canvas, start, torch.device("cpu"))
        groups = _groups(patches)
        result = fit(patches, groups, stack.array, rays)
        reason = _implausible(result)
        if reason is None:
            return _measured(start, stack, patches, groups, result)
    _log.info("dose calibration falls back to the %s preset: %s", kernel, reason)
    return dataclasses.replace(start, fallback=reason)


def assumed_ellipse(stack: AxialStack) -> tuple[float, float] | None:
    """Semi-axes (y, x) in mm of the body assumed around a crop; None where the slices hold the whole body.

    A crop is less than 200 mm wide, or has tissue along more than 30 % of its border. The ellipse (an average adult
    trunk, centred on the crop) grows until it holds the crop's half-widths.
    """
    extents = [n * s for n, s in zip(stack.array.shape[1:], stack.spacing[1:], strict=True)]
    slices = stack.array[:: max(1, len(stack.array) // 16)]
    border = np.concatenate(
        [slices[:, 0].ravel(), slices[:, -1].ravel(), slices[:, :, 0].ravel(), slices[:, :, -1].ravel()]
    )
    if min(extents) >= _WHOLE_BODY_MM and float(np.mean(border > -500)) <= _BORDER_TISSUE:
        return None
    growth = max(1.0, *(e / 2 / a for e, a in zip(extents, DEFAULT_ELLIPSE_MM, strict=True)))
    return DEFAULT_ELLIPSE_MM[0] * growth, DEFAULT_ELLIPSE_MM[1] * growth


def z_filter(correlation: float) -> tuple[float, ...]:
    """Unit-norm Gaussian taps whose filtered white noise has the given correlation between neighbouring slices."""
    if not correlation >= _Z_CORRELATION_MIN:
        return (1.0,)
    narrow, wide = 0.1, 4.0
    for _ in range(40):
        width = (narrow + wide) / 2
        taps = _gaussian_taps(width)
        if float(taps[1:] @ taps[:-1]) < min(correlation, 0.95):
            narrow = width
        else:
            wide = width
    return tuple(float(t) for t in taps)


def _gaussian_taps(width: float) -> NDArray[np.float64]:
    reach = max(1, math.ceil(2.5 * width))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return np.asarray(taps / np.linalg.norm(taps))


def _chosen_slices(depth: int) -> list[int]:
    """Up to 24 slices, evenly spaced, each with a following one where there is one."""
    last = max(0, depth - 2)
    return sorted({round(z) for z in np.linspace(0, last, min(_MOST_SLICES, last + 1))})


def _groups(patches: Patches) -> NDArray[np.int64]:
    """Consecutive slices share a flux until a group holds `_PATCHES_A_GROUP` patches."""
    groups = np.zeros(len(patches), dtype=np.int64)
    group, held = 0, 0
    for z in np.unique(patches.slices):
        here = patches.slices == z
        if held >= _PATCHES_A_GROUP and (patches.slices >= z).sum() >= _PATCHES_A_GROUP:
            group, held = group + 1, 0
        groups[here] = group
        held += int(here.sum())
    return groups


def _not_measurable(stack: AxialStack, patches: Patches) -> str | None:
    if max(stack.spacing[1:]) > _LARGEST_PIXEL_MM:
        return (
            f"pixels of {max(stack.spacing[1:]):.2f} mm are too coarse for a reconstruction's own noise,"
            " the image was resampled"
        )
    if len(patches) < FEWEST_PATCHES:
        return f"{len(patches)} homogeneous soft-tissue patches of {PATCH}×{PATCH}, {FEWEST_PATCHES} are needed"
    sd = float(np.median(patches.pixels.std(axis=(1, 2))))
    if sd < _SMALLEST_SD_HU:
        return f"soft-tissue noise of {sd:.2f} HU is too low for filtered back-projection: denoised or synthetic"
    return None


def _implausible(result: WhittleFit) -> str | None:
    if result.centroid < _LOWEST_CENTROID:
        return (
            f"the noise spectrum has collapsed (mean frequency {result.centroid:.2f} per mm): denoised or iterative"
            " reconstruction"
        )
    flux = math.exp(float(np.median(result.ln_flux)))
    if not _FLUX_RANGE[0] < flux < _FLUX_RANGE[1]:
        return f"the estimated flux of {flux:.2g} counts a ray is implausible"
    return None


def _measured(
    start: DoseCalibration, stack: AxialStack, patches: Patches, groups: NDArray[np.int64], result: WhittleFit
) -> DoseCalibration:
    kept = int(result.kept.sum())
    centres = [float(patches.slices[groups == g].mean()) for g in range(len(result.ln_flux))]
    flux = np.exp(np.interp(np.arange(len(stack.array)), centres, result.ln_flux))
    agreement = min(result.misfit, 1 / max(result.misfit, 1e-6))
    return dataclasses.replace(
        start,
        flux=tuple(float(f) for f in flux) if len(centres) > 1 else (float(flux[0]),),
        kernel_frequencies=result.frequencies,
        kernel_ln_h2=result.ln_h2,
        bowtie=result.bowtie,
        tube_modulation=result.tube_modulation,
        z_taps=z_filter(_z_correlation(stack, patches.subset(result.kept), result.centroid)),
        confidence=round(agreement * kept / (kept + FEWEST_PATCHES) * (0.5 if start.ellipse_mm else 1.0), 3),
        fallback=None,
        patches=kept,
    )


def _z_correlation(stack: AxialStack, patches: Patches, above: float) -> float:
    """Correlation of the noise of neighbouring slices above a frequency, where anatomy is weak."""
    rows = [i for i, z in enumerate(patches.slices) if z + 1 < len(stack.array)]
    if not rows:
        return 0.0
    window = np.outer(np.hanning(PATCH), np.hanning(PATCH))
    frequencies = [np.fft.fftfreq(PATCH, d=s) for s in stack.spacing[1:]]
    high = np.hypot(frequencies[0][:, None], frequencies[1][None]) > above
    sums = np.zeros(3)
    for i in rows:
        z, (r, c) = patches.slices[i], patches.corners[i]
        pair = np.nan_to_num(np.asarray(stack.array[z : z + 2, r : r + PATCH, c : c + PATCH], dtype=float))
        a, b = (np.fft.fft2((p - p.mean()) * window)[high] for p in pair)
        sums += [(a * b.conj()).real.sum(), (abs(a) ** 2).sum(), (abs(b) ** 2).sum()]
    return float(sums[0] / math.sqrt(max(sums[1] * sums[2], 1e-12)))
