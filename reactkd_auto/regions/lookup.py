"""Look-ups on label maps in little memory: numpy's own make 8 bytes of every voxel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def mask_of(labels: NDArray[Any], values: Iterable[int]) -> NDArray[np.bool_]:
    """Where a label map (z, y, x) has one of these values."""
    mask = np.zeros(labels.shape, bool)
    for value in values:
        mask |= labels == value
    return mask


def count_labels(labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Voxels of each of the labels 1 … count of a map (z, y, x)."""
    voxels = np.zeros(count + 1, np.int64)
    for axial in labels:
        voxels += np.bincount(axial.ravel(), minlength=count + 1)[: count + 1]
    return voxels[1:]


def mapped(labels: NDArray[Any], table: NDArray[Any]) -> NDArray[Any]:
    """``table[labels]`` of a map (z, y, x)."""
    result = np.empty(labels.shape, table.dtype)
    for axial, source in zip(result, labels, strict=True):
        axial[...] = table[source]
    return result
