"""Measures a case's regions: extent, lesion components, their rings, organ volume, distances."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import RING_WIDTHS_MM
from reactkd_auto.imageio import RawCase, array_spacing
from reactkd_auto.plan import TripleMm
from reactkd_auto.regions.lesions import lesion_components, whole_organ
from reactkd_auto.regions.rings import ring_map

MOST_LESIONS = 64
"""Components recorded for a case; no graph has more than a quarter of them."""
OUTSIDE_AIR_HU = -950.0
"""Lung is denser; what is not is outside the body (or bowel gas)."""
Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]
Points = NDArray[np.float64]


def regions(raw: RawCase, dataset: Dataset) -> Mapping[str, Any]:
    """Everything measured on the region map; context regions count only where ``dataset.json`` names no others."""
    nothing: dict[str, Any] = {
        "context_regions": 0,
        "region_extent_mm": None,
        "lesion_volumes_mm3": (),
        "ring_volumes_mm3": tuple(() for _ in RING_WIDTHS_MM),
        "organ_volume_mm3": None,
        "neighbour_distances_mm": (),
    }
    if raw.regions is None:
        return nothing
    labels = sitk.GetArrayFromImage(raw.regions)
    context = np.intersect1d(np.unique(labels), dataset.region_values("context"))
    nothing["context_regions"] = len(context)
    if not any(r.role != "context" for r in dataset.regions):
        points = label_centroids(labels, context, array_spacing(raw.regions))
        return nothing | {"neighbour_distances_mm": nearest_distances(points)}
    components, voxels = lesion_components(labels, dataset)
    organ = whole_organ(labels, components, dataset)
    marked = (components > 0) | np.isin(labels, dataset.region_values("organ"))
    if not marked.any():
        return nothing
    spacing = array_spacing(raw.regions)
    voxel_mm3 = math.prod(spacing)
    count = min(len(voxels), MOST_LESIONS)
    inside = organ if organ.any() else marked | _body(raw, dataset)
    return nothing | {
        "region_extent_mm": extent_mm(marked, spacing),
        "lesion_volumes_mm3": tuple(float(v * voxel_mm3) for v in voxels[:count]),
        "ring_volumes_mm3": ring_volumes(components, count, inside, spacing),
        "organ_volume_mm3": float(organ.sum() * voxel_mm3) if organ.any() else None,
        "neighbour_distances_mm": nearest_distances(centroids(components, count, organ, spacing)),
    }


def extent_mm(mask: Mask, spacing: TripleMm) -> TripleMm:
    """Edges (z, y, x) of the box round a mask."""
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    z, y, x = ((s.stop - s.start) * mm for s, mm in zip(box, spacing, strict=True))
    return float(z), float(y), float(x)


def ring_volumes(components: Labels, count: int, inside: Mask, spacing: TripleMm) -> tuple[tuple[float, ...], ...]:
    """For each of `RING_WIDTHS_MM`, the volume in mm³ of the ring of each of the first ``count`` lesions."""
    return tuple(
        tuple(
            float(v * math.prod(spacing))
            for v in np.bincount(
                ring_map(components, inside=inside, width_mm=width, spacing=spacing).ravel(), minlength=count + 1
            )[1 : count + 1]
        )
        for width in RING_WIDTHS_MM
    )


def centroids(components: Labels, count: int, organ: Mask, spacing: TripleMm) -> Points:
    """(regions, 3) centroids in mm of the first ``count`` lesions and of the organ, if there is one."""
    lesions = label_centroids(components, range(1, count + 1), spacing)
    return np.concatenate([lesions, label_centroids(organ, [1] if organ.any() else [], spacing)])


def label_centroids(labels: NDArray[Any], values: Iterable[int], spacing: TripleMm) -> Points:
    """(values, 3) centroids in mm of labels that each have a voxel."""
    points = ndimage.center_of_mass(labels > 0, labels, list(values))
    return np.array(points, float).reshape(-1, 3) * np.array(spacing)


def nearest_distances(points: Points) -> tuple[float, ...]:
    """Distance in mm from each point to the nearest other; empty for fewer than two."""
    if len(points) < 2:
        return ()
    distances = cdist(points, points)
    np.fill_diagonal(distances, np.inf)
    return tuple(float(d) for d in distances.min(axis=1))


def _body(raw: RawCase, dataset: Dataset) -> Mask:
    array = sitk.GetArrayViewFromImage(raw.images[0])
    return array > OUTSIDE_AIR_HU if dataset.base.role == "ct" else np.ones(array.shape, bool)
