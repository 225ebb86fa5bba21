"""Positions in a patient as voxels of a CT, and the one check that structures share its slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.imageio import ImageFault

FEWEST_TO_JUDGE = 3


def to_index(grid: sitk.Image, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Continuous indices (n, 3; x, y, z) of physical positions (n, 3) in mm."""
    return (points - np.array(grid.GetOrigin())) @ index_axes(grid).T


def index_axes(grid: sitk.Image) -> NDArray[np.float64]:
    """Matrix from a displacement in mm to one in voxels (x, y, z)."""
    direction = np.reshape(grid.GetDirection(), (3, 3))
    inverse: NDArray[np.float64] = np.linalg.inv(direction * np.array(grid.GetSpacing()))
    return inverse


def check_neighbours(path: Path, planes: set[int]) -> None:
    """Check that a region has neighbouring slices; drawn on another grid, it would be a comb on this one.

    Raises:
        ImageFault: Three or more slices, no two of them neighbours.
    """
    if len(planes) >= FEWEST_TO_JUDGE and np.diff(sorted(planes)).min() > 1:
        raise ImageFault(
            path, "a region on no two neighbouring slices of the CT", "structures drawn on the CT's slices"
        )
