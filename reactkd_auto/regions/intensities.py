"""Distribution of a channel's values in the regions, or in the body where there are none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.dataset import ChannelRole, Dataset
from reactkd_auto.fingerprint import QUANTILE_LEVELS, Intensities
from reactkd_auto.imageio import RawCase

from .lookup import mask_of

BODY_HU = -500.0
FEWEST_VOXELS = 8
"""Fewer foreground voxels than this say nothing about intensities; the body is measured instead."""
MOST_VOXELS = 2**26
"""Of more, every n-th tells the distribution as well, in memory that is known."""


def measure_intensities(
    image: sitk.Image, regions: sitk.Image | None, dataset: Dataset, role: ChannelRole
) -> Intensities:
    """Measure one channel.

    Args:
        image: Real values.
        regions: Region map on its grid; None: the body is measured.
        dataset: Says which region values are organs and lesions.
        role: Of the channel.
    """
    array = sitk.GetArrayViewFromImage(image)
    wanted = dataset.region_values("organ") + dataset.region_values("lesion")
    values = array[mask_of(sitk.GetArrayViewFromImage(regions), wanted)] if regions is not None else array[:0].ravel()
    if values.size < FEWEST_VOXELS:
        values = body_values(array, role)
    values = values[:: math.ceil(values.size / MOST_VOXELS)].astype(np.float64)
    seen = np.log1p(np.maximum(values, 0)) if role == "pet_suv" else values
    return Intensities(
        voxels=int(values.size),
        quantiles=tuple(float(q) for q in np.quantile(values, QUANTILE_LEVELS)),
        mean=float(seen.mean()),
        std=float(seen.std()),
        highest=float(array.max()),
    )


def regions_on(raw: RawCase, channel: int) -> sitk.Image | None:
    """The region map on a channel's own grid; the base's is its own already."""
    if raw.regions is None or channel == 0:
        return raw.regions
    return sitk.Resample(raw.regions, raw.images[channel], sitk.Transform(), sitk.sitkNearestNeighbor, 0)


def body_values(array: NDArray[Any], role: ChannelRole) -> NDArray[Any]:
    """Values of the body (everything but air), of a shape, or of all voxels where that leaves too few."""
    threshold = {"ct": BODY_HU, "binary_mask": 0.5}.get(role, 0.1 * float(np.percentile(array, 99)))
    body = array[array > threshold]
    return body if body.size >= FEWEST_VOXELS else array.ravel()
