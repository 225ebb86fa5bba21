"""Rings: the tissue just outside each lesion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reactkd_auto.plan import TripleMm


def ring_map(
    components: NDArray[np.int32], *, inside: NDArray[np.bool_] | None, width_mm: float, spacing: TripleMm
) -> NDArray[np.int32]:
    """Voxels within ``width_mm`` of a lesion that belong to no lesion, each given to its nearest lesion.

    Distance is between voxel centres. Two equally near lesions: either, but always the same one.

    Args:
        components: (z, y, x), lesions numbered from 1.
        inside: Where rings may lie (organ or body); None: anywhere.
        width_mm: Largest distance.
        spacing: mm.

    Returns:
        Number of the lesion whose ring a voxel belongs to, or 0.
    """
    result = np.zeros_like(components)
    if not components.any():
        return result
    window = _surrounding(components > 0, [int(np.ceil(width_mm / s)) + 1 for s in spacing])
    near = components[window]
    distance, nearest = ndimage.distance_transform_edt(near == 0, sampling=spacing, return_indices=True)
    ring = (distance > 0) & (distance <= width_mm)
    if inside is not None:
        ring &= inside[window]
    result[window] = np.where(ring, near[tuple(nearest)], 0)
    return result


def _surrounding(mask: NDArray[np.bool_], margin: list[int]) -> tuple[slice, ...]:
    """The box round a mask, ``margin`` voxels wider on each side."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(
        slice(max(0, b.start - m), min(n, b.stop + m)) for b, m, n in zip(box, margin, mask.shape, strict=True)
    )
