"""Parcels: the organ in parts of equal volume, with the same identity in every patient."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.plan import Triple

CUT_ORDER = (2, 0, 1)
"""Axes in the order of cutting: R–L (x), S–I (z), A–P (y)."""


def parcel_map(organ: NDArray[np.bool_], splits: Triple) -> NDArray[np.uint8]:
    """k-d splits of a mask: halved (or cut in n) at equal volume along x, each part along z, each of those along y.

    Positions count only relative to the organ, so parcel k is the same part of the organ wherever the organ lies.
    Voxels of a plane that a cut goes through are shared out in their order, so volumes differ by a voxel a cut
    at most.

    Args:
        organ: (z, y, x), canonical orientation (towards superior, posterior, left).
        splits: Number of parts along z, y, x.

    Returns:
        Parcel (z, y, x): ``1 + (iz × ny + iy) × nx + ix`` with each i counted from inferior, anterior, right.
    """
    where = np.nonzero(organ)
    part = {axis: np.zeros(len(where[0]), np.int64) for axis in CUT_ORDER}
    cell = np.zeros(len(where[0]), np.int64)
    for axis in CUT_ORDER:
        part[axis] = _equal_parts(where[axis], cell, splits[axis])
        cell = cell * splits[axis] + part[axis]
    assert math.prod(splits) <= 255
    result = np.zeros(organ.shape, np.uint8)
    result[where] = 1 + (part[0] * splits[1] + part[1]) * splits[2] + part[2]
    return result


def _equal_parts(position: NDArray[np.intp], cell: NDArray[np.int64], parts: int) -> NDArray[np.int64]:
    """For each voxel, which of ``parts`` equal shares of its cell it falls into, ordered by position."""
    order = np.lexsort((position, cell))
    sizes = np.bincount(cell)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rank = np.empty(len(cell), np.int64)
    rank[order] = np.arange(len(cell))
    rank -= starts[cell]
    return rank * parts // sizes[cell]
