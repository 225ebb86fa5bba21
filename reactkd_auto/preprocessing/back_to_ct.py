"""From a case's grid back to the CT that it was made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.cases import CaseProperties

from .grid import Grid


def grid_of(properties: CaseProperties, size: tuple[int, ...]) -> Grid:
    """The grid of a preprocessed case's arrays of this size (z, y, x)."""
    z, y, x = size
    return Grid((z, y, x), properties.spacing_mm, properties.origin_mm, properties.direction)


def ct_grid(properties: CaseProperties) -> Grid:
    """The grid of the CT that a case was made of."""
    x, y, z = properties.original_size
    dx, dy, dz = properties.original_spacing_mm
    return Grid((z, y, x), (dz, dy, dx), properties.original_origin_mm, properties.original_direction)


def paint_on_ct(array: NDArray[Any], properties: CaseProperties) -> sitk.Image:
    """Values on the case's grid, in the geometry of the CT as read.

    Args:
        array: (z, y, x) of the case's size.
        properties: For both geometries.

    Returns:
        float32 image with size, spacing, origin and direction of the CT; linearly interpolated, 0 outside of the
        case's box.
    """
    grid = grid_of(properties, array.shape)
    whole = sitk.Image(properties.original_size, sitk.sitkFloat32)
    whole.SetOrigin(properties.original_origin_mm)
    whole.SetSpacing(properties.original_spacing_mm)
    whole.SetDirection(properties.original_direction)
    # Only the box, and a voxel of the grid round it: the rest of a whole CT is 0.
    margin = np.ceil(max(grid.spacing_mm) / min(whole.GetSpacing()))
    corners = np.array([whole.TransformPhysicalPointToContinuousIndex(p) for p in grid.corners().tolist()])
    end = np.array(properties.original_size)
    first = np.clip(np.floor(corners.min(axis=0)) - margin, 0, end).astype(int)
    stop = np.clip(np.ceil(corners.max(axis=0)) + margin + 1, 0, end).astype(int)
    if (stop <= first).any():
        return whole
    part = sitk.Resample(
        grid.image(array.astype(np.float32)),
        (stop - first).tolist(),
        sitk.Transform(),
        sitk.sitkLinear,
        whole.TransformIndexToPhysicalPoint(first.tolist()),
        whole.GetSpacing(),
        whole.GetDirection(),
        0.0,
        sitk.sitkFloat32,
    )
    return sitk.Paste(whole, part, part.GetSize(), [0, 0, 0], first.tolist())
