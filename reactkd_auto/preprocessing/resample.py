"""The one linear operator that brings images, and the noise that belongs to them, onto a case's grid."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from .grid import Grid
from .separable import apply_operators, axis_operator

COARSENING = 1.2
"""Target spacings beyond this multiple of the source's are smoothed for; below, linear interpolation smooths enough."""
TRUNCATE = 4.0
"""The Gaussian ends at this many standard deviations."""
SAME_AXES = 1e-6
"""Cosine by which the axes of an image and a grid may differ and count as the same."""
MOST_VOXELS = 2**26
"""Of an image, filtered at a time: about 1 GB."""


def resample(image: sitk.Image, grid: Grid, *, smooth: bool = True, lowest: float | None = None) -> NDArray[np.float32]:
    """Values of an image on a grid, by physical position: anti-aliasing Gaussian, then linear interpolation.

    Linear in the image's values, whatever they are: sums of images (a CT and its added noise) may be resampled before
    or after adding. Beyond the image's ends its edge is replicated. Linear rather than spline interpolation, because
    a spline's overshoots would be structure that was never measured (negative SUV beside a hot lesion). What depends
    on more than `MOST_VOXELS` of the image is made in slabs.

    Args:
        image: 3D, any geometry.
        grid: Where.
        smooth: False leaves the anti-aliasing out, for maps that are smooth already.
        lowest: Smaller values of the image count as this one.

    Returns:
        float32 (z, y, x) of the grid's size.
    """
    sigmas = antialiasing_sigmas(image, grid) if smooth else (0.0, 0.0, 0.0)
    parts = grid.slabs(math.ceil(math.prod(_needed_size(image, grid, sigmas)) / MOST_VOXELS))
    resample_part = _resample_along_axes if _along_axes(image, grid) else _resample_turned
    result = np.empty(grid.size, np.float32)
    for where, part in parts:
        result[where] = resample_part(image, part, sigmas, lowest)
    return result


def _along_axes(image: sitk.Image, grid: Grid) -> bool:
    return bool(np.abs(_turn(image, grid) - np.eye(3)).max() < SAME_AXES)


def _axis_positions(image: sitk.Image, grid: Grid) -> Iterator[NDArray[np.float64]]:
    """Where the grid's voxels lie along each of the image's axes (z, y, x), in voxels of the image."""
    start = image.TransformPhysicalPointToContinuousIndex(grid.origin_mm)[::-1]
    for begin, count, to, mm in zip(start, grid.size, grid.spacing_mm, image.GetSpacing()[::-1], strict=True):
        yield begin + np.arange(count) * to / mm


def _turn(image: sitk.Image, grid: Grid) -> NDArray[np.float64]:
    """(3, 3) cosines between the image's axes (rows: x, y, z) and the grid's."""
    return np.array(image.GetDirection()).reshape(3, 3).T @ np.array(grid.direction).reshape(3, 3)


def _resample_along_axes(
    image: sitk.Image, grid: Grid, sigmas: tuple[float, float, float], lowest: float | None
) -> NDArray[np.float32]:
    first, last = source_window(image, grid, sigmas)
    window = tuple(slice(a, b + 1) for a, b in zip(first[::-1], last[::-1], strict=True))
    voxels = sitk.GetArrayViewFromImage(image)[window]
    spacing = image.GetSpacing()[::-1]
    operators = tuple(
        axis_operator(n, places - begin, sigma / mm, truncate=TRUNCATE)
        for n, places, begin, sigma, mm in zip(
            voxels.shape, _axis_positions(image, grid), first[::-1], sigmas, spacing, strict=True
        )
    )
    return apply_operators(voxels, operators, lowest=lowest)


def _resample_turned(
    image: sitk.Image, grid: Grid, sigmas: tuple[float, float, float], lowest: float | None
) -> NDArray[np.float32]:
    image = sitk.Cast(_needed_part(image, grid, sigmas), sitk.sitkFloat32)
    if lowest is not None:
        image = sitk.Maximum(image, lowest)
    if any(sigmas):
        spacing = image.GetSpacing()[::-1]
        voxels = [s / mm for s, mm in zip(sigmas, spacing, strict=True)]
        array = ndimage.gaussian_filter(sitk.GetArrayViewFromImage(image), voxels, mode="nearest", truncate=TRUNCATE)
        smoothed = sitk.GetImageFromArray(array)
        smoothed.CopyInformation(image)
        image = smoothed
    return _interpolate(image, grid, sitk.sitkLinear, replicate=True)


def covered(image: sitk.Image, grid: Grid) -> NDArray[np.bool_]:
    """Where a grid's voxel centres lie inside an image (inside one of its voxels)."""
    if _along_axes(image, grid):
        places = _axis_positions(image, grid)
        ends = image.GetSize()[::-1]
        z, y, x = ((p >= -0.5) & (p < n - 0.5) for p, n in zip(places, ends, strict=True))
        return z[:, None, None] & y[:, None] & x
    part = _needed_part(image, grid, (0.0, 0.0, 0.0))
    ones = sitk.Image(part.GetSize(), sitk.sitkUInt8) + 1
    ones.CopyInformation(part)
    return _interpolate(ones, grid, sitk.sitkNearestNeighbor, replicate=False) > 0.5


def antialiasing_sigmas(image: sitk.Image, grid: Grid) -> tuple[float, float, float]:
    """Standard deviation in mm of the Gaussian along each of the image's axes (z, y, x); 0 where not coarsened.

    σ² = (t² − s²) / (8 ln 2), t target and s source spacing: a Gaussian point-spread function whose full width at
    half maximum is the spacing is assumed on both sides, and variances of convolved Gaussians add (Cardoso et al.,
    Scale factor point spread function matching, MICCAI 2015, eq. 4). Where the grid is turned against the image, t is
    the spacing along the image's axis, sqrt(Σ (cos × spacing)²).
    """
    target = np.sqrt(((_turn(image, grid) * np.array(grid.spacing_mm[::-1])) ** 2).sum(axis=1))
    x, y, z = (
        math.sqrt((t * t - s * s) / (8 * math.log(2))) if t > COARSENING * s else 0.0
        for t, s in zip(target, image.GetSpacing(), strict=True)
    )
    return z, y, x


def reach(image: sitk.Image, sigmas: tuple[float, float, float]) -> NDArray[np.int64]:
    """How many voxels (z, y, x) of an image away a value can still matter."""
    return np.ceil(TRUNCATE * np.array(sigmas) / np.array(image.GetSpacing()[::-1]) + 0.5).astype(np.int64) + 2


def source_window(image: sitk.Image, grid: Grid, sigmas: tuple[float, float, float]) -> tuple[list[int], list[int]]:
    """First and last voxel (x, y, z) of an image that a grid's values depend on; at least one voxel."""
    corners = np.array([image.TransformPhysicalPointToContinuousIndex(p) for p in grid.corners()])
    margin = reach(image, sigmas)[::-1]
    end = np.array(image.GetSize()) - 1
    first = np.clip(np.floor(corners.min(axis=0)) - margin, 0, end)
    last = np.clip(np.ceil(corners.max(axis=0)) + margin, 0, end)
    return [int(v) for v in first], [int(v) for v in last]


def _needed_size(image: sitk.Image, grid: Grid, sigmas: tuple[float, float, float]) -> list[int]:
    return [b - a + 1 for a, b in zip(*source_window(image, grid, sigmas), strict=True)]


def _needed_part(image: sitk.Image, grid: Grid, sigmas: tuple[float, float, float]) -> sitk.Image:
    return sitk.RegionOfInterest(image, _needed_size(image, grid, sigmas), source_window(image, grid, sigmas)[0])


def _interpolate(image: sitk.Image, grid: Grid, interpolator: int, *, replicate: bool) -> NDArray[np.float32]:
    done = sitk.Resample(
        image,
        list(grid.size[::-1]),
        sitk.Transform(),
        interpolator,
        list(grid.origin_mm),
        list(grid.spacing_mm[::-1]),
        list(grid.direction),
        0.0,
        sitk.sitkFloat32,
        replicate,
    )
    return sitk.GetArrayFromImage(done)
