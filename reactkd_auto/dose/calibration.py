"""Calibration of the noise model from a full-dose CT alone, or from several of one scanner and kernel."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .counts import count_table
from .evidence import NoiseEvidence, gather
from .parameters import DoseCalibration, preset
from .patches import PATCH
from .volumes import axial_stack
from .whittle import Flux, Shape, WhittleFit, fit

_log = logging.getLogger(__name__)

FEWEST_PATCHES = 24
_MOST_POOLED = 400
_LARGEST_PIXEL_MM = 1.6
_LOWEST_MTF50 = 0.17
"""mm⁻¹; the softest body kernels pass one half at 0.25 and more."""
_LARGEST_KURTOSIS = 0.2
_FLUX_RANGE = (1e3, 1e9)
_SMALLEST_SD_HU = 1.0
_Z_CORRELATION_MIN = 0.05
_OWN_SCATTER = 0.1
_PATCH_SCATTER = 0.5
_DIGITS = 4


def calibrate(
    volume: Any,
    *,
    spacing: tuple[float, float, float] | None = None,
    kernel: str = "standard",
    electronic_noise: float | None = None,
    readings: int | None = None,
) -> DoseCalibration:
    """Estimate flux, kernel, bowtie, tube-current modulation and z-correlation from soft-tissue patches.

    Where that is impossible (crops with few homogeneous patches, resampled, denoised or iterative images) the preset of
    `kernel` is returned with the reason in ``fallback``; small volumes never raise.

    Args:
        volume: SimpleITK image of HU, or (z, y, x) array with ``spacing`` (z, y, x) in mm.
        spacing: Of an array.
        kernel: Preset: ``soft``, ``standard`` or ``sharp``.
        electronic_noise: Of a reading, in counts, where it is known; one image does not tell. None: 5.
        readings: Detector readings merged into a ray, where known. None: 1.6 a mm of slice thickness, at least 4.

    Raises:
        UserError: Not a 3D CT in HU.
    """
    evidence = gather(axial_stack(volume, spacing))
    return calibrate_evidence(evidence, kernel=kernel, electronic_noise=electronic_noise, readings=readings)


def calibrate_evidence(
    evidence: NoiseEvidence,
    *,
    kernel: str = "standard",
    electronic_noise: float | None = None,
    readings: int | None = None,
) -> DoseCalibration:
    """`calibrate` from what `gather` found in a CT."""
    start = _preset(evidence, kernel)
    start = dataclasses.replace(
        start,
        electronic_noise=start.electronic_noise if electronic_noise is None else electronic_noise,
        readings=start.readings if readings is None else readings,
    )
    reason = not_measurable(evidence) or _too_few(len(evidence))
    if reason is None:
        found = fit([evidence], [start.readings], count_table(start.electronic_noise, start.floor))
        reason = _implausible(found)
        if reason is None:
            (flux,) = found.fluxes
            return _measured(
                start,
                found.shape,
                flux,
                depth=evidence.depth,
                z_correlation=evidence.z_correlation,
                confidence=_confidence(found, flux.patches, start),
            )
    _log.info("dose calibration falls back to the %s preset: %s", kernel, reason)
    return dataclasses.replace(start, fallback=reason)


def calibrate_group(
    evidence: Sequence[NoiseEvidence], exposures: Sequence[float | None] | None = None
) -> list[DoseCalibration]:
    """Calibrate CTs of one scanner and kernel together: one kernel from all their patches, then each CT's own flux.

    A CT's ln N₀ shrinks towards what its group predicts, the more the fewer patches it has: N₀ ∝ slice thickness, and
    ∝ mAs where all of them say it. A CT without a patch gets the prediction, and so does one that was denoised (with
    the reason in ``fallback``).

    Args:
        evidence: All crops, or all whole fields of view.
        exposures: mAs of each, None where unknown.
    """
    starts = [_preset(e, "standard") for e in evidence]
    faults = [not_measurable(e) for e in evidence]
    donors = [i for i, e in enumerate(evidence) if len(e) and faults[i] is None]
    pool = [evidence[i].thinned(max(1, _MOST_POOLED // len(donors))) for i in donors]
    readings = [starts[i].readings for i in donors]
    table = count_table(starts[0].electronic_noise, starts[0].floor)
    reason = _too_few(sum(map(len, pool)))
    if reason is None:
        found = fit(pool, readings, table)
        reason = _implausible(found)
    if reason is not None:
        return [dataclasses.replace(s, fallback=f or reason) for s, f in zip(starts, faults, strict=True)]
    own: list[Flux | None] = [None] * len(evidence)
    for i, m in zip(donors, readings, strict=True):
        (own[i],) = fit([evidence[i]], [m], table, shape=found.shape).fluxes
    typical_z = float(np.median([z for i in donors if (z := evidence[i].z_correlation) is not None] or [0.0]))
    patches = sum(f.patches for f in found.fluxes)
    result = []
    fluxes = shrunk(own, _flux_predictors(evidence, exposures))
    for start, fault, e, flux in zip(starts, faults, evidence, fluxes, strict=True):
        z = e.z_correlation if len(e) >= FEWEST_PATCHES else typical_z
        confidence = _confidence(found, math.sqrt(patches * (1 + flux.patches)), start)
        measured = _measured(start, found.shape, flux, depth=e.depth, z_correlation=z, confidence=confidence)
        if fault:
            reason = f"{fault}; kernel and flux are typical of the CTs of its kind"
            measured = dataclasses.replace(measured, fallback=reason, confidence=0.0, patches=len(e))
        result.append(measured)
    return result


def shrunk(own: Sequence[Flux | None], ln_predictors: Sequence[float]) -> list[Flux]:
    """Empirical-Bayes flux of each CT of a group.

    ln N₀ − ln predictor scatters about the group's median by τ (robust); a CT's own estimate errs by s,
    s² = 0.1² + 0.5²/patches. Each becomes (own · τ² + prediction · s²) / (τ² + s²).
    """
    levels = [float(np.mean(f.ln_flux)) - x if f else math.nan for f, x in zip(own, ln_predictors, strict=True)]
    known = np.array([v for v in levels if not math.isnan(v)])
    middle = float(np.median(known))
    spread = float(1.4826 * np.median(np.abs(known - middle))) if len(known) > 1 else 1.0
    result = []
    for f, level, x in zip(own, levels, ln_predictors, strict=True):
        if f is None:
            result.append(Flux((0.0,), (middle + x,), 0))
            continue
        error = _OWN_SCATTER**2 + _PATCH_SCATTER**2 / max(f.patches, 1)
        shift = (middle - level) * error / (error + spread**2)
        result.append(Flux(f.slices, tuple(v + shift for v in f.ln_flux), f.patches))
    return result


def not_measurable(evidence: NoiseEvidence) -> str | None:
    """Why the noise of a CT can't be a reconstruction's own, whatever its number of patches."""
    pixel = max(evidence.spacing[1:])
    if pixel > _LARGEST_PIXEL_MM:
        return f"pixels of {pixel:.2f} mm are too coarse for a reconstruction's own noise, the image was resampled"
    if len(evidence) and evidence.sd_hu < _SMALLEST_SD_HU:
        return (
            f"soft-tissue noise of {evidence.sd_hu:.2f} HU is too low for filtered back-projection:"
            " denoised or synthetic"
        )
    if len(evidence) >= FEWEST_PATCHES and evidence.kurtosis > _LARGEST_KURTOSIS:
        return (
            f"soft-tissue noise is not Gaussian (excess kurtosis {evidence.kurtosis:.2f}): denoised or iterative"
            " reconstruction"
        )
    return None


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


def _preset(evidence: NoiseEvidence, kernel: str) -> DoseCalibration:
    return preset(
        reason="",
        slice_mm=evidence.spacing[0],
        ellipse_mm=evidence.ellipse_mm,
        kernel=kernel,
        patches=len(evidence),
    )


def _flux_predictors(evidence: Sequence[NoiseEvidence], exposures: Sequence[float | None] | None) -> list[float]:
    thickness = [math.log(e.spacing[0]) for e in evidence]
    known = [v for v in exposures or () if v]
    if len(known) < len(thickness):
        return thickness
    return [t + math.log(v) for t, v in zip(thickness, known, strict=True)]


def _too_few(patches: int) -> str | None:
    if patches >= FEWEST_PATCHES:
        return None
    return f"{patches} homogeneous soft-tissue patches of {PATCH}×{PATCH}, {FEWEST_PATCHES} are needed"


def _implausible(result: WhittleFit) -> str | None:
    if result.shape.mtf50 < _LOWEST_MTF50:
        return (
            f"the noise spectrum has collapsed (half of the amplitude at {result.shape.mtf50:.2f} per mm): smoothed,"
            " denoised or iterative reconstruction"
        )
    flux = math.exp(float(np.median([v for f in result.fluxes for v in f.ln_flux])))
    if not _FLUX_RANGE[0] < flux < _FLUX_RANGE[1]:
        return f"the estimated flux of {flux:.2g} counts a ray is implausible"
    return None


def _confidence(found: WhittleFit, patches: float, start: DoseCalibration) -> float:
    agreement = min(found.misfit, 1 / max(found.misfit, 1e-6))
    return agreement * patches / (patches + FEWEST_PATCHES) * (0.5 if start.ellipse_mm else 1.0)


def _measured(
    start: DoseCalibration, shape: Shape, flux: Flux, *, depth: int, z_correlation: float | None, confidence: float
) -> DoseCalibration:
    values = np.exp(np.interp(np.arange(depth), flux.slices, flux.ln_flux))
    kept = values if len(flux.slices) > 1 else values[:1]
    return dataclasses.replace(
        start,
        flux=tuple(float(f"{v:.{_DIGITS}g}") for v in kept),
        kernel_frequencies=shape.frequencies,
        kernel_ln_h2=shape.ln_h2,
        bowtie=shape.bowtie,
        tube_modulation=shape.tube_modulation,
        z_taps=z_filter(z_correlation or 0.0),
        confidence=round(confidence, 3),
        fallback=None,
        patches=flux.patches,
    )
