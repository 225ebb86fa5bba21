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


def paint_on_ct(array: NDArray[Any], properties: CaseProperties) -> sitk.Image:
    """Values on the case's grid, in the geometry of the CT as read.

    Args:
        array: (z, y, x) of the case's size.
        properties: For both geometries.

    Returns:
        float32 image with size, spacing, origin and direction of the CT; linearly interpolated, 0 outside of the
        case's box.
    """
    image = grid_of(properties, array.shape).image(array.astype(np.float32))
    return sitk.Resample(
        image,
        list(properties.original_size),
        sitk.Transform(),
        sitk.sitkLinear,
        list(properties.original_origin_mm),
        list(properties.original_spacing_mm),
        list(properties.original_direction),
        0.0,
        sitk.sitkFloat32,
    )
