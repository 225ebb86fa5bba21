"""Geometry of region nodes: the six numbers that stand beside a node's features."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reactkd_auto.plan import TripleMm

from .distance import distance_to

FEATURES = 6
"""ln(volume in mm³), depth in mm, sphericity, centroid z, y, x in organ coordinates."""
Mask = NDArray[np.bool_]


def node_geometry(
    mask: Mask, *, spacing: TripleMm, depth_mm: NDArray[np.float32], box: NDArray[np.float64]
) -> list[float]:
    """The six numbers of one node.

    Args:
        mask: (z, y, x), not empty.
        spacing: mm.
        depth_mm: Distance of each voxel from the surface of organ or body, see `depth_map`.
        box: (2, 3) lowest and highest voxel of the frame of organ coordinates, see `frame`.

    Returns:
        ln of the volume in mm³; mean depth in mm; sphericity 0…1; centroid along z, y, x as −1…1 from end to end of
        the frame.
    """
    window = ndimage.find_objects(mask.astype(np.uint8))[0]
    inside = mask[window]
    volume = float(inside.sum() * np.prod(spacing))
    centre = np.array([np.mean(w) + b.start for w, b in zip(np.nonzero(inside), window, strict=True)])
    half = np.maximum((box[1] - box[0]) / 2, 0.5)
    place = (centre - box.mean(axis=0)) / half
    depth = float(depth_mm[window][inside].mean())
    return [math.log(volume), depth, sphericity(inside, spacing), *(float(p) for p in place)]


def sphericity(mask: Mask, spacing: TripleMm) -> float:
    """π^⅓ (6V)^⅔ / A (Wadell, J. Geology 1935), 1 for a ball; A from marching cubes on the mask.

    The mesh of a voxelised ball has an area up to 10 % too large, so balls come out at about 0.93; shapes of a few
    voxels can exceed 1 and are clipped.
    """
    from skimage.measure import marching_cubes, mesh_surface_area

    vertices, faces, _, _ = marching_cubes(np.pad(mask, 1).astype(np.float32), 0.5, spacing=spacing)
    area = float(mesh_surface_area(vertices, faces))
    volume = float(mask.sum() * np.prod(spacing))
    return min(1.0, math.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / area)


def depth_map(whole: Mask, spacing: TripleMm) -> NDArray[np.float32]:
    """Distance in mm of each voxel of organ or body from the nearest voxel outside it, 0 outside.

    The array's own border is no surface: 0 everywhere where nothing lies outside.
    """
    if whole.all() or not whole.any():
        return np.zeros(whole.shape, np.float32)
    return distance_to(~whole, spacing)


def frame(mask: Mask) -> NDArray[np.float64]:
    """(2, 3) lowest and highest voxel of a mask along z, y, x; not empty."""
    window = ndimage.find_objects(mask.astype(np.uint8))[0]
    return np.array([[w.start for w in window], [w.stop - 1 for w in window]], dtype=np.float64)


def nearest_inside(mask: Mask) -> tuple[int, int, int]:
    """Voxel (z, y, x) of the mask that is nearest to its centroid (a bent lesion's may lie outside); not empty."""
    inside = np.argwhere(mask)
    z, y, x = inside[((inside - inside.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return int(z), int(y), int(x)
