"""The part of the base image in which images are compared: round the regions, because that is what the networks see."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from reactkd_auto.dataset import Dataset
from reactkd_auto.imageio import array_spacing
from reactkd_auto.preprocessing.grid import Grid, centred_grid

MARGIN_MM = 50.0
"""Round the regions: enough of the body's outline and bones to hold on to, little that moves on its own."""
MOST_VOXELS = 1_000_000
Mask = NDArray[np.bool_]


def marked_voxels(regions: sitk.Image | None, dataset: Dataset) -> Mask | None:
    """Organ and lesion voxels of a region map (z, y, x); None where there are none."""
    if regions is None:
        return None
    wanted = dataset.region_values("organ") + dataset.region_values("lesion")
    marked = np.isin(sitk.GetArrayViewFromImage(regions), wanted)
    return marked if marked.any() else None


def window_grid(base: sitk.Image, marked: Mask | None, spacing_mm: float, *, most_voxels: int = MOST_VOXELS) -> Grid:
    """Isotropic grid along the base image's axes, over the marked voxels and `MARGIN_MM` round them, or over all of it.

    It never leaves the image, and is coarser than ``spacing_mm`` where it would have more than ``most_voxels``.
    """
    spacing = np.array(array_spacing(base))
    first, last = np.zeros(3), np.array(base.GetSize()[::-1]) - 1.0
    if marked is not None:
        (box,) = ndimage.find_objects(marked.astype(np.uint8))
        margin = MARGIN_MM / spacing
        first = np.maximum(first, np.array([s.start for s in box]) - margin)
        last = np.minimum(last, np.array([s.stop - 1 for s in box]) + margin)
    extent = (last - first + 1) * spacing
    step = max(spacing_mm, math.cbrt(float(np.prod(extent)) / most_voxels))
    size = np.maximum(1, np.floor(extent / step)).astype(np.int_)
    return centred_grid(Grid.of(base), (first + last) / 2, size, np.full(3, step))
