"""Lesion components: every separate lesion, never only the largest."""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import NDArray

from reactkd_auto.dataset import Dataset

from .lookup import count_labels, mapped, mask_of

Mask = NDArray[np.bool_]


def lesion_components(labels: NDArray[np.uint8], dataset: Dataset) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """26-connected components of all lesion labels together.

    Args:
        labels: (z, y, x) region values.
        dataset: For the roles of the regions.

    Returns:
        Components (z, y, x), numbered 1… by falling volume (equal ones: the first voxel met first), 0 elsewhere; and
        their volumes in voxels, in that order.
    """
    lesions = mask_of(labels, dataset.region_values("lesion"))
    found, count = cc3d.connected_components(lesions, connectivity=26, return_N=True, out_dtype=np.uint32)
    voxels = count_labels(found, count)
    order = np.argsort(-voxels, kind="stable")
    number = np.zeros(count + 1, np.uint32)
    number[order + 1] = np.arange(1, count + 1)
    for axial in found:  # in place: a large CT has no room for another map
        axial[...] = number[axial]
    return found.view(np.int32), voxels[order]


def kept_count(voxels: NDArray[np.int64], *, voxel_mm3: float, smallest_mm3: float) -> int:
    """How many of the components, by falling volume, are large enough; the largest always is."""
    large = int((voxels * voxel_mm3 >= smallest_mm3 * (1 - 1e-9)).sum())
    return max(large, min(1, len(voxels)))


def whole_organ(labels: NDArray[np.uint8], components: NDArray[np.int32], dataset: Dataset) -> Mask:
    """Organ voxels and all lesions that overlap or touch them: the organ as it would be without disease in it.

    All False where the dataset or the case has no organ.
    """
    organ: Mask = mask_of(labels, dataset.region_values("organ"))
    if not organ.any():
        return organ
    count = int(components.max(initial=0))
    touching = np.zeros(count + 1, bool)
    for axis in range(3):
        here, there = [slice(None)] * 3, [slice(None)] * 3
        here[axis], there[axis] = slice(None, -1), slice(1, None)
        a, b = tuple(here), tuple(there)
        touching[components[a][organ[b]]] = True
        touching[components[b][organ[a]]] = True
    touching[0] = False
    return np.asarray(organ | mapped(components, touching))
