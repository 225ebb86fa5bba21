"""The fingerprint's properties: small functions, each of which measures one thing on one case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import SimpleITK as sitk

from reactkd_auto.dataset import ChannelRole, Dataset
from reactkd_auto.fingerprint import QUANTILE_LEVELS, Intensities
from reactkd_auto.imageio import RawCase, array_spacing, overlap_fraction

Property = Callable[[RawCase, Dataset], Mapping[str, Any]]
BODY_HU = -500.0
FEWEST_VOXELS = 8
"""Fewer foreground voxels than this say nothing about intensities; the body is measured instead."""


def geometry(raw: RawCase, dataset: Dataset) -> Mapping[str, Any]:
    """Size and spacing (z, y, x) of the base image."""
    x, y, z = raw.images[0].GetSize()
    return {"size": (z, y, x), "spacing_mm": array_spacing(raw.images[0])}


def channels(raw: RawCase, dataset: Dataset) -> Mapping[str, Any]:
    """Which channels there are, and the share of the base image that each covers."""
    indices = range(len(dataset.channels))
    return {
        "present": tuple(i in raw.images for i in indices),
        "valid_fraction": tuple(
            1.0 if i == 0 else overlap_fraction(raw.images[0], raw.images[i]) if i in raw.images else 0.0
            for i in indices
        ),
    }


def intensities(raw: RawCase, dataset: Dataset) -> Mapping[str, Any]:
    """Distribution of each present channel in the foreground."""
    return {
        "intensities": {
            dataset.channels[i].name: _measure(image, raw.regions, dataset, dataset.channels[i].role)
            for i, image in sorted(raw.images.items())
        }
    }


def _measure(image: sitk.Image, regions: sitk.Image | None, dataset: Dataset, role: ChannelRole) -> Intensities:
    array = sitk.GetArrayViewFromImage(image)
    values = array[_foreground(image, regions, dataset)] if regions is not None else array[:0].ravel()
    if values.size < FEWEST_VOXELS:
        values = _body(array, role)
    values = values.astype(np.float64)
    seen = np.log1p(np.maximum(values, 0)) if role == "pet_suv" else values
    return Intensities(
        voxels=int(values.size),
        quantiles=tuple(float(q) for q in np.quantile(values, QUANTILE_LEVELS)),
        mean=float(seen.mean()),
        std=float(seen.std()),
        highest=float(array.max()),
    )


def _foreground(image: sitk.Image, regions: sitk.Image, dataset: Dataset) -> np.ndarray:
    """Organ and lesion voxels on the channel's own grid."""
    on_grid = sitk.Resample(regions, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    wanted = dataset.region_values("organ") + dataset.region_values("lesion")
    return np.isin(sitk.GetArrayViewFromImage(on_grid), wanted)


def _body(array: np.ndarray, role: ChannelRole) -> np.ndarray:
    """Values of the body (everything but air), of a shape, or of all voxels where that leaves too few."""
    threshold = {"ct": BODY_HU, "binary_mask": 0.5}.get(role, 0.1 * float(np.percentile(array, 99)))
    body = array[array > threshold]
    return body if body.size >= FEWEST_VOXELS else array.ravel()
