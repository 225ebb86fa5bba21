"""The arrays of a synthetic case, from its parameters alone (see `reactkd_auto.dataset_conversion.demo`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from reactkd_auto.dataset_conversion.demo import TRACERS, CaseParams

Field = NDArray[np.float32]

CT_SHAPE = (40, 64, 64)
CT_SPACING_MM = (3.0, 2.0, 2.0)
PET_FACTOR = (1, 2, 2)
"""PET voxels are so many CT voxels wide (z, y, x): 3 × 4 × 4 mm."""
PET_RESOLUTION_MM = 6.0
FWHM_PER_SIGMA = 2.3548
BACKGROUND_SUV = {"FDG": (2.2, 0.7), "ACE": (2.8, 0.5)}
"""Uptake of organ and of other tissue."""
ORGAN, LESION, SPINE = 1, 2, 3
AIR_HU, FAT_HU, MUSCLE_HU, SPINE_HU, MOTTLE_HU = -1000.0, -95.0, 50.0, 280.0, 6.0
FINE_TEXTURE_MM = 2.0
COARSE_TEXTURE_MM = 6.0
SURFACE_MM = 8.0


@dataclass(frozen=True)
class RenderedCase:
    """Arrays (z, y, x) of one case: CT in HU, tracers in SUV on the PET grid (None: missing), region map."""

    ct: NDArray[np.int16]
    tracers: tuple[NDArray[np.float32] | None, ...]
    regions: NDArray[np.uint8]


def render(params: CaseParams) -> RenderedCase:
    """Make the arrays of a case; the same parameters give the same arrays."""
    rng = np.random.default_rng(params.noise_seed)
    surface, coarse, fine = (_texture(rng, s) for s in (SURFACE_MM, COARSE_TEXTURE_MM, FINE_TEXTURE_MM))
    ct, regions, activity = _background(params, surface, coarse)
    organ = regions == ORGAN
    for lesion in params.lesions:
        inside = _ellipsoid(lesion.centre_mm, lesion.radii_mm, 0.15 * surface) & organ
        texture = coarse if lesion.distractor else fine
        ct[inside] = (lesion.mean_hu + lesion.texture_hu * texture)[inside]
        regions[inside] = LESION
        for tracer, uptake in zip(activity, lesion.uptake, strict=True):
            tracer[inside] = uptake
    ct += params.noise_hu * _ct_noise(rng)
    return RenderedCase(
        np.clip(np.round(ct), -1024, 3071).astype(np.int16),
        tuple(_pet(rng, a) if there else None for a, there in zip(activity, params.tracers, strict=True)),
        regions,
    )


def _background(params: CaseParams, surface: Field, coarse: Field) -> tuple[Field, NDArray[np.uint8], list[Field]]:
    """The body without lesions: CT in HU, region map, activity of each tracer in SUV."""
    _, y, x = _coordinates()
    everywhere = np.ones(CT_SHAPE, bool)
    body = (np.hypot(y / 54, x / 60) < 1) & everywhere
    muscle = (np.hypot(y / 48, x / 54) < 1) & everywhere
    spine = (np.hypot(y - 44, x) < 7) & body
    organ = _ellipsoid((0, -4, 0), params.organ_radii_mm, 0.08 * surface) & muscle & ~spine
    ct = np.where(muscle, MUSCLE_HU, np.where(body, FAT_HU, AIR_HU)).astype(np.float32)
    ct[spine] = SPINE_HU
    ct[organ] = (params.organ_hu + MOTTLE_HU * coarse)[organ]
    regions = (ORGAN * organ + SPINE * spine).astype(np.uint8)
    levels = [BACKGROUND_SUV[t] for t in TRACERS]
    return ct, regions, [np.where(organ, inside, other * body).astype(np.float32) for inside, other in levels]


def _coordinates() -> list[NDArray[np.float64]]:
    """Distances of the voxels from the centre of the image in mm, as three open axes."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(CT_SHAPE, CT_SPACING_MM, strict=True)]
    return list(np.meshgrid(*axes, indexing="ij", sparse=True))


def _ellipsoid(
    centre: tuple[float, float, float], radii: tuple[float, float, float], displacement: Field
) -> NDArray[np.bool_]:
    """An ellipsoid whose surface is displaced by a smooth field, relative to its radius."""
    square = sum(((x - c) / r) ** 2 for x, c, r in zip(_coordinates(), centre, radii, strict=True))
    inside: NDArray[np.bool_] = np.sqrt(square) < 1 + np.clip(displacement, -0.3, 0.3)
    return inside


def _texture(rng: np.random.Generator, sigma_mm: float) -> Field:
    """White noise smoothed isotropically in mm, scaled to mean 0 and SD 1."""
    return _smooth_noise(rng, tuple(sigma_mm / s for s in CT_SPACING_MM))


def _ct_noise(rng: np.random.Generator) -> Field:
    """Noise correlated over neighbouring pixels of a slice, and not between slices."""
    return _smooth_noise(rng, (0.0, 0.6, 0.6))


def _smooth_noise(rng: np.random.Generator, sigma_voxels: tuple[float, ...]) -> Field:
    field = gaussian_filter(rng.standard_normal(CT_SHAPE, dtype=np.float32), sigma_voxels, mode="wrap")
    scaled: Field = (field - field.mean()) / field.std()
    return scaled


def _pet(rng: np.random.Generator, activity: Field) -> Field:
    """Blur by the scanner's resolution, average over PET voxels, add noise that grows with the root of uptake."""
    sigma = PET_RESOLUTION_MM / FWHM_PER_SIGMA
    blurred = gaussian_filter(activity, [sigma / s for s in CT_SPACING_MM])
    z, y, x = (n // f for n, f in zip(CT_SHAPE, PET_FACTOR, strict=True))
    averaged = blurred.reshape(z, PET_FACTOR[0], y, PET_FACTOR[1], x, PET_FACTOR[2]).mean(axis=(1, 3, 5))
    noisy = averaged + 0.12 * np.sqrt(averaged + 0.01) * rng.standard_normal(averaged.shape, dtype=np.float32)
    return np.clip(noisy, 0, None).astype(np.float32)
