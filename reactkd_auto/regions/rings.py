"""Rings: the tissue just outside each lesion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reactkd_auto.plan import TripleMm

from .distance import distance_to

MOST_VOXELS = 2**24
"""Distances take 30 bytes a voxel: larger boxes are done in slabs."""
Window = tuple[slice, slice, slice]


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
    for slab in ring_slabs(components, inside=inside, width_mm=width_mm, spacing=spacing):
        result[slab.window] = slab.nearest
    return result


@dataclass(frozen=True, eq=False)
class RingSlab:
    """A part of a ring map.

    Attributes:
        window: Where it lies.
        nearest: (z, y, x) lesion whose ring a voxel belongs to, or 0.
        distance_mm: (z, y, x) to the nearest lesion.
    """

    window: Window
    nearest: NDArray[np.int32]
    distance_mm: NDArray[np.floating]

    def within(self, width_mm: float) -> NDArray[np.int32]:
        """``nearest`` of a ring that is no wider than the one asked for."""
        return self.nearest * (self.distance_mm <= width_mm)


def ring_slabs(
    components: NDArray[np.int32], *, inside: NDArray[np.bool_] | None, width_mm: float, spacing: TripleMm
) -> Iterator[RingSlab]:
    """`ring_map` in windows that do not overlap, of up to about `MOST_VOXELS`; there are no rings elsewhere."""
    if not components.any():
        return
    margin = [int(np.ceil(width_mm / s)) + 1 for s in spacing]
    z, y, x = _surrounding(components > 0, margin)
    step = max(1, MOST_VOXELS // ((y.stop - y.start) * (x.stop - x.start)))
    for first in range(z.start, z.stop, step):
        last = min(first + step, z.stop)
        seen = slice(max(z.start, first - margin[0]), min(z.stop, last + margin[0]))
        near = components[seen, y, x]
        if near.any():
            window, own = (slice(first, last), y, x), slice(first - seen.start, last - seen.start)
            distance, nearest = _nearest_lesions(near, spacing)
            distance, nearest = distance[own], nearest[own]
            ring = (distance > 0) & (distance <= width_mm)
            if inside is not None:
                ring &= inside[window]
            yield RingSlab(window, np.where(ring, nearest, np.int32(0)), distance)


def _nearest_lesions(
    components: NDArray[np.int32], spacing: TripleMm
) -> tuple[NDArray[np.floating], NDArray[np.int32]]:
    """Distance in mm to the nearest lesion, and its number; where there is but one, half the work will do."""
    largest = components.max()
    if (components[components > 0] == largest).all():
        return distance_to(components > 0, spacing), np.broadcast_to(largest, components.shape)
    distance, places = ndimage.distance_transform_edt(components == 0, sampling=spacing, return_indices=True)
    return distance, components[tuple(places)]


def _surrounding(mask: NDArray[np.bool_], margin: list[int]) -> Window:
    """The box round a mask, ``margin`` voxels wider on each side."""
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    z, y, x = (slice(max(0, b.start - m), min(n, b.stop + m)) for b, m, n in zip(box, margin, mask.shape, strict=True))
    return z, y, x
