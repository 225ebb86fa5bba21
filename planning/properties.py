"""The fingerprint's properties: small functions, each of which measures one thing on one case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import SimpleITK as sitk

from reactkd_auto.dataset import Dataset
from reactkd_auto.imageio import RawCase, array_spacing, overlap_fraction
from reactkd_auto.planning.region_properties import extent_mm
from reactkd_auto.planning.triples import triple_mm
from reactkd_auto.preprocessing.supervoxels import body_mask
from reactkd_auto.regions.intensities import measure_intensities, regions_on
from reactkd_auto.verification import voxel_hash

Property = Callable[[RawCase, Dataset], Mapping[str, Any]]
BODY_STEP_MM = 4.0
"""The body is looked for in voxels about so far apart: its extent needs no finer ones, and a large CT no copy."""


def geometry(raw: RawCase, dataset: Dataset) -> Mapping[str, Any]:
    """Size and spacing (z, y, x) of the base image."""
    x, y, z = raw.images[0].GetSize()
    return {"size": (z, y, x), "spacing_mm": array_spacing(raw.images[0])}


def body(raw: RawCase, dataset: Dataset) -> Mapping[str, Any]:
    """Edges (z, y, x) in mm of the box round the body, couch apart, to the nearest `BODY_STEP_MM`; of a CT only."""
    if dataset.base.role != "ct":
        return {"body_extent_mm": None}
    spacing = array_spacing(raw.images[0])
    steps = [max(1, round(BODY_STEP_MM / s)) for s in spacing]
    hu = sitk.GetArrayViewFromImage(raw.images[0])[tuple(slice(s // 2, None, s) for s in steps)]
    coarse = triple_mm(s * n for s, n in zip(spacing, steps, strict=True))
    return {"body_extent_mm": extent_mm(body_mask(hu.astype(np.float32), coarse), coarse)}


def channels(raw: RawCase, dataset: Dataset) -> Mapping[str, Any]:
    """Which channels there are, what tells copies of each, and the share of the base image that each covers."""
    indices = range(len(dataset.channels))
    return {
        "voxel_hashes": {dataset.channels[i].name: voxel_hash(image) for i, image in sorted(raw.images.items())},
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
            dataset.channels[i].name: measure_intensities(image, regions_on(raw, i), dataset, dataset.channels[i].role)
            for i, image in sorted(raw.images.items())
        }
    }
