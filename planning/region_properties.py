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
from reactkd_auto.regions.lookup import count_labels, mask_of
from reactkd_auto.regions.rings import ring_slabs

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
    labels = sitk.GetArrayViewFromImage(raw.regions)
    context = np.array([v for v in sorted(dataset.region_values("context")) if (labels == v).any()], np.int64)
    nothing["context_regions"] = len(context)
    if not any(r.role != "context" for r in dataset.regions):
        points = label_centroids(labels, context, array_spacing(raw.regions))
        return nothing | {"neighbour_distances_mm": nearest_distances(points)}
    components, voxels = lesion_components(labels, dataset)
    organ = whole_organ(labels, components, dataset)
    marked = (components > 0) | mask_of(labels, dataset.region_values("organ"))
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
    (box,) = ndimage.find_objects(mask.view(np.uint8))
    z, y, x = ((s.stop - s.start) * mm for s, mm in zip(box, spacing, strict=True))
    return float(z), float(y), float(x)


def ring_volumes(components: Labels, count: int, inside: Mask, spacing: TripleMm) -> tuple[tuple[float, ...], ...]:
    """For each of `RING_WIDTHS_MM`, the volume in mm³ of the ring of each of the first ``count`` lesions."""
    voxels = np.zeros((len(RING_WIDTHS_MM), count), np.int64)
    for slab in ring_slabs(components, inside=inside, width_mm=max(RING_WIDTHS_MM), spacing=spacing):
        voxels += [count_labels(slab.within(width), count) for width in RING_WIDTHS_MM]
    return tuple(tuple(float(v * math.prod(spacing)) for v in of_width) for of_width in voxels)


def centroids(components: Labels, count: int, organ: Mask, spacing: TripleMm) -> Points:
    """(regions, 3) centroids in mm of the first ``count`` lesions and of the organ, if there is one."""
    lesions = label_centroids(components, range(1, count + 1), spacing)
    return np.concatenate([lesions, label_centroids(organ, [1] if organ.any() else [], spacing)])


def label_centroids(labels: NDArray[Any], values: Iterable[int], spacing: TripleMm) -> Points:
    """(values, 3) centroids in mm of labels that each have a voxel."""
    boxes = ndimage.find_objects(labels.view(np.uint8) if labels.dtype == bool else labels)
    points = [_centroid(labels[boxes[value - 1]] == value, boxes[value - 1]) for value in values]
    return np.array(points, float).reshape(-1, 3) * np.array(spacing)


def _centroid(mask: Mask, box: tuple[slice, slice, slice]) -> list[float]:
    """In voxels, of a mask in its box."""
    along = [mask.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    return [int(n @ np.arange(b.start, b.stop)) / int(n.sum()) for n, b in zip(along, box, strict=True)]


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
