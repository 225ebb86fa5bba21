"""Orientation, grids and positions of images."""

from __future__ import annotations

import itertools

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

CANONICAL = "LPS"


def to_canonical(image: sitk.Image) -> sitk.Image:
    """Permute and flip axes so that arrays (z, y, x) run towards superior, posterior, left.

    Voxel values are moved, never interpolated; every voxel keeps its physical position. Left-handed inputs become
    right-handed; an oblique image stays oblique, by the nearest assignment of axes.
    """
    orientation = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    return image if orientation == CANONICAL else sitk.DICOMOrient(image, CANONICAL)


def array_spacing(image: sitk.Image) -> tuple[float, float, float]:
    """Voxel spacing in mm in array order (z, y, x)."""
    x, y, z = image.GetSpacing()
    return (float(z), float(y), float(x))


def same_grid(a: sitk.Image, b: sitk.Image, *, tolerance: float = 0.1) -> bool:
    """Whether two images have the same size and every corner voxel within ``tolerance`` voxels of its counterpart."""
    if a.GetSize() != b.GetSize():
        return False
    distance = np.linalg.norm(_corner_points(a, 0.0) - _corner_points(b, 0.0), axis=1).max()
    return bool(distance <= tolerance * min(a.GetSpacing()))


def overlap_fraction(base: sitk.Image, other: sitk.Image) -> float:
    """Share of the base image's volume that lies inside the other image's box (boxes along the axes of the patient)."""
    base_low, base_high = _box(base)
    low, high = _box(other)
    shared = np.clip(np.minimum(base_high, high) - np.maximum(base_low, low), 0.0, None)
    return float(np.prod(shared) / np.prod(base_high - base_low))


def _box(image: sitk.Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = _corner_points(image, 0.5)
    return points.min(axis=0), points.max(axis=0)


def _corner_points(image: sitk.Image, margin: float) -> NDArray[np.float64]:
    """Physical positions (8, 3) of the corner voxels' centres, moved outwards by ``margin`` voxels."""
    ends = [(-margin, n - 1 + margin) for n in image.GetSize()]
    return np.array([image.TransformContinuousIndexToPhysicalPoint(c) for c in itertools.product(*ends)])
