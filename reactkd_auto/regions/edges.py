"""Edges of the region graph."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.plan import TripleMm

_CODES = 256


def edge_weights(
    layers: NDArray[np.uint8], centroids: NDArray[np.float64], *, spacing: TripleMm, sigma_mm: float
) -> NDArray[np.float32]:
    """exp(−d² / 2σ²) between regions that touch or share voxels, d the distance of their centroids in mm.

    Touching means a common voxel face; sharing voxels is what makes a lesion, a ring or the organ a member of a
    parcel. A ring touches its lesion by construction.

    Args:
        layers: (3, z, y, x), node + 1 or 0.
        centroids: (N, 3) in voxels z, y, x; NaN for a node without voxels.
        spacing: mm.
        sigma_mm: σ.

    Returns:
        (N, N), symmetric, zero diagonal, 0 for nodes without voxels.
    """
    count = len(centroids)
    touching = _touching(layers)[1 : count + 1, 1 : count + 1]
    difference = (centroids[:, None] - centroids[None, :]) * np.array(spacing)
    weights = np.exp(-(difference**2).sum(axis=2) / (2 * sigma_mm**2))
    weights = np.where(touching & ~np.isnan(weights), weights, 0.0)
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights, dtype=np.float32)


def _touching(layers: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(256, 256) symmetric: which codes share a voxel or a voxel face, on any two layers."""
    occupied = np.nonzero(layers.any(axis=0))
    if not len(occupied[0]):
        return np.zeros((_CODES, _CODES), bool)
    layers = layers[(slice(None), *(slice(w.min(), w.max() + 1) for w in occupied))]
    counts = np.zeros(_CODES * _CODES, np.int64)
    for i, j in combinations_with_replacement(range(len(layers)), 2):
        if layers[i].any() and layers[j].any():
            counts += _meetings(layers[i], layers[j])
    found = counts.reshape(_CODES, _CODES) > 0
    return np.asarray(found | found.T)


def _meetings(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often code p of ``a`` meets code q of ``b``, at index 256 p + q."""
    total = _pairs(a, b)
    for axis in range(3):
        low, high = [slice(None)] * 3, [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        total += _pairs(a[tuple(low)], b[tuple(high)]) + _pairs(a[tuple(high)], b[tuple(low)])
    return total


def _pairs(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int64]:
    codes = a.astype(np.uint16) * np.uint16(_CODES) + b
    return np.bincount(codes.ravel(), minlength=_CODES * _CODES)
