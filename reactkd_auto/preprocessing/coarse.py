"""The whole image at the localiser's spacing."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.dataset import Dataset
from reactkd_auto.imageio import RawCase, array_spacing
from reactkd_auto.plan import Plan, TripleMm

from .channels import store_base
from .grid import Grid, centred_grid
from .labels import resample_labels


def coarse_grid(base: sitk.Image, plan: Plan) -> Grid:
    """The grid of the localiser's spacing that covers the whole base image, centred on it."""
    return whole_grid(base, plan.localiser.spacing_mm)


def whole_grid(base: sitk.Image, spacing_mm: TripleMm) -> Grid:
    """The grid of a spacing (z, y, x) that covers a whole image, centred on it."""
    size = np.array(base.GetSize()[::-1])
    spacing = np.array(spacing_mm)
    coarse = np.ceil(size * array_spacing(base) / spacing - 1e-6).astype(int)
    return centred_grid(base, (size - 1) / 2, np.maximum(coarse, 1), spacing)


def coarse_case(raw: RawCase, plan: Plan, dataset: Dataset) -> NDArray[np.int16]:
    """int16 (2, z, y, x) on `coarse_grid`: the base image as stored (real value / storage scale), and region values.

    Without a region map the second is 0.
    """
    base = raw.images[0]
    grid = coarse_grid(base, plan)
    result = np.zeros((2, *grid.size), np.int16)
    result[0] = store_base(base, grid, plan.normalisation[dataset.base.name])
    if raw.regions is not None:
        result[1] = resample_labels(raw.regions, grid, dataset)
    return result
