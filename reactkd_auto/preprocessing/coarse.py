"""The whole image at the localiser's spacing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.dataset import Dataset
from reactkd_auto.imageio import RawCase
from reactkd_auto.plan import Plan, TripleMm

from .channels import store_base
from .grid import Grid, centred_grid
from .labels import resample_labels


def coarse_grid(base: Grid, plan: Plan) -> Grid:
    """The grid of the localiser's spacing that covers the whole base image (given: its grid), centred on it."""
    return whole_grid(base, plan.localiser.spacing_mm)


def whole_grid(base: Grid, spacing_mm: TripleMm) -> Grid:
    """The grid of a spacing (z, y, x) that covers a whole image's one, centred on it."""
    size = np.array(base.size)
    spacing = np.array(spacing_mm)
    coarse = np.ceil(size * base.spacing_mm / spacing - 1e-6).astype(int)
    return centred_grid(base, (size - 1) / 2, np.maximum(coarse, 1), spacing)


def coarse_case(raw: RawCase, plan: Plan, dataset: Dataset) -> NDArray[np.int16]:
    """int16 (2, z, y, x) on `coarse_grid`: the base image as stored (real value / storage scale), and region values.

    Without a region map the second is 0.
    """
    base = raw.images[0]
    grid = coarse_grid(Grid.of(base), plan)
    result = np.zeros((2, *grid.size), np.int16)
    result[0] = store_base(base, grid, plan.normalisation[dataset.base.name])
    if raw.regions is not None:
        result[1] = resample_labels(raw.regions, grid, dataset)
    return result
