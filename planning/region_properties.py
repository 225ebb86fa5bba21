"""Measures a case's regions: extent, lesion components, their rings, organ volume, distances."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import cc3d
import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.distance import cdist

from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import RING_WIDTHS_MM
from reactkd_auto.imageio import RawCase, array_spacing
from reactkd_auto.plan import TripleMm

MOST_LESIONS = 64
"""Components recorded for a case; no graph has more than a quarter of them."""
OUTSIDE_AIR_HU = -950.0
"""Lung is denser; what is not is outside the body (or bowel gas)."""
Mask = np.ndarray


def regions(raw: RawCase, dataset: Dataset) -> Mapping[str, Any]:
    """Everything measured on the region map; empty where the case has no organ or lesion voxel."""
    nothing: dict[str, Any] = {
        "region_extent_mm": None,
        "lesion_volumes_mm3": (),
        "ring_volumes_mm3": tuple(() for _ in RING_WIDTHS_MM),
        "organ_volume_mm3": None,
        "neighbour_distances_mm": (),
    }
    if raw.regions is None:
        return nothing
    labels = sitk.GetArrayViewFromImage(raw.regions)
    lesions = np.isin(labels, dataset.region_values("lesion"))
    organ = np.isin(labels, dataset.region_values("organ"))
    both = lesions | organ
    if not both.any():
        return nothing
    spacing = array_spacing(raw.regions)
    components, volumes, centroids = lesion_components(lesions, spacing)
    inside = both if organ.any() else lesions | _body(raw, dataset)
    if organ.any():
        centroids = [*centroids, ndimage.center_of_mass(organ) * np.array(spacing)]
    return {
        "region_extent_mm": extent_mm(both, spacing),
        "lesion_volumes_mm3": tuple(volumes),
        "ring_volumes_mm3": ring_volumes(components, len(volumes), lesions, inside, spacing),
        "organ_volume_mm3": float(both.sum() * math.prod(spacing)) if organ.any() else None,
        "neighbour_distances_mm": nearest_distances(centroids),
    }


def extent_mm(mask: Mask, spacing: TripleMm) -> TripleMm:
    """Edges (z, y, x) of the box round a mask."""
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    z, y, x = ((s.stop - s.start) * mm for s, mm in zip(box, spacing, strict=True))
    return float(z), float(y), float(x)


def lesion_components(mask: Mask, spacing: TripleMm) -> tuple[np.ndarray, list[float], list[np.ndarray]]:
    """26-connected components, numbered by falling volume from 1 on; their volumes in mm³ and centroids in mm."""
    found, count = cc3d.connected_components(mask.astype(np.uint8), connectivity=26, return_N=True)
    statistics = cc3d.statistics(found)
    sizes = np.asarray(statistics["voxel_counts"])[1 : count + 1]
    order = np.argsort(-sizes, kind="stable")[:MOST_LESIONS]
    number = np.zeros(count + 1, np.uint8)
    number[order + 1] = np.arange(1, len(order) + 1)
    volumes = [float(sizes[i] * math.prod(spacing)) for i in order]
    return number[found], volumes, [statistics["centroids"][i + 1] * np.array(spacing) for i in order]


def ring_volumes(
    components: np.ndarray, count: int, lesions: Mask, inside: Mask, spacing: TripleMm
) -> tuple[tuple[float, ...], ...]:
    """For each of `RING_WIDTHS_MM`, how much tissue inside organ or body lies that near to each lesion, in mm³."""
    margin = [math.ceil(RING_WIDTHS_MM[-1] / s) for s in spacing]
    volumes: list[list[float]] = []
    for number, box in enumerate(ndimage.find_objects(components, max_label=count), start=1):
        window = tuple(slice(max(0, s.start - m), s.stop + m) for s, m in zip(box, margin, strict=True))
        distance = ndimage.distance_transform_edt(components[window] != number, sampling=spacing)
        allowed = inside[window] & ~lesions[window]
        volumes.append([float(((distance <= w) & allowed).sum() * math.prod(spacing)) for w in RING_WIDTHS_MM])
    return tuple(tuple(v[i] for v in volumes) for i in range(len(RING_WIDTHS_MM)))


def nearest_distances(centroids: list[np.ndarray]) -> tuple[float, ...]:
    """Distance in mm from each centroid to the nearest other; empty for fewer than two."""
    if len(centroids) < 2:
        return ()
    distances = cdist(centroids, centroids)
    np.fill_diagonal(distances, np.inf)
    return tuple(float(d) for d in distances.min(axis=1))


def _body(raw: RawCase, dataset: Dataset) -> Mask:
    array = sitk.GetArrayViewFromImage(raw.images[0])
    return array > OUTSIDE_AIR_HU if dataset.base.role == "ct" else np.ones(array.shape, bool)
