"""Smoothing and linear interpolation along an image's own axes: three small matrices, one an axis.

Gaussian and linear interpolation are both products of functions of z, y and x. Where the grid runs along the image's
axes the whole operator is therefore three sparse matrices that are applied one after the other, and only what the grid
asks for is computed, instead of smoothing every voxel of a whole CT first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def axis_operator(size: int, positions: NDArray[np.float64], sigma: float, *, truncate: float) -> sparse.csr_array:
    """Values at positions of a line of voxels: Gaussian, then linear interpolation, the line's ends replicated.

    Args:
        size: Number of voxels n.
        positions: (m,) in voxels.
        sigma: Standard deviation in voxels; 0: no smoothing.
        truncate: The Gaussian ends at so many standard deviations.

    Returns:
        float32 (m, n), rows of sum 1.
    """
    clipped = np.clip(positions, 0, size - 1)
    below = np.minimum(np.floor(clipped).astype(np.int64), max(size - 2, 0))
    fraction = clipped - below
    radius = int(truncate * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    taps = np.exp(-0.5 * (offsets / sigma) ** 2) if radius else np.ones(1)
    taps /= taps.sum()
    rows = np.arange(len(positions))
    weights = np.concatenate([np.outer(1 - fraction, taps), np.outer(fraction, taps)], axis=1)
    columns = np.concatenate([below[:, None] + offsets, below[:, None] + 1 + offsets], axis=1).clip(0, size - 1)
    entries = (weights.ravel(), (np.repeat(rows, weights.shape[1]), columns.ravel()))
    # Conversion from coordinates adds what falls on one voxel: at the ends, the replicated edge.
    return sparse.coo_array(entries, shape=(len(positions), size)).tocsr().astype(np.float32)


def apply_operators(
    image: NDArray[np.generic], operators: tuple[sparse.csr_array, ...], *, lowest: float | None
) -> NDArray[np.float32]:
    """An image (z, y, x) of any type, each axis by its operator (z, y, x), slice after slice.

    Args:
        image: Voxels, which are copied one slice at a time.
        operators: Of the three axes.
        lowest: Smaller values count as this one.

    Returns:
        float32, as many values along each axis as its operator has rows.
    """
    along_z, along_y, along_x = operators
    slices = np.empty((len(image), along_y.shape[0], along_x.shape[0]), np.float32)
    for into, axial in zip(slices, image, strict=True):
        plane = np.array(axial, np.float32, order="C")
        if lowest is not None:
            np.maximum(plane, np.float32(lowest), out=plane)
        into[:] = (along_x @ (along_y @ plane).T).T
    done = along_z @ slices.reshape(len(image), -1)
    return np.asarray(done, np.float32).reshape(along_z.shape[0], *slices.shape[1:])
