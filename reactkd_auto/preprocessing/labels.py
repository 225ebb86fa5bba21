"""Region maps on another grid, so that no lesion is lost."""

from __future__ import annotations

from collections.abc import Mapping

import cc3d
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from reactkd_auto.dataset import Dataset

from .grid import Grid
from .resample import antialiasing_sigmas, covered, reach, resample

SPARSE = 32
"""Every so many voxels of a lesion are looked at first."""


def resample_labels(regions: sitk.Image, grid: Grid, dataset: Dataset) -> NDArray[np.uint8]:
    """A region map on a grid.

    Each label's indicator is resampled like an image, and the largest share of a voxel wins (at least half of it
    where there is one label). A lesion too small or thin to win anywhere keeps one voxel: the one in which its most
    central voxel lies.

    Args:
        regions: uint8 label map.
        grid: Where; voxels beyond the map's ends are 0.
        dataset: For which labels are lesions.
    """
    labels = sitk.GetArrayViewFromImage(regions)
    winner = np.zeros(grid.size, np.uint8)
    largest = np.zeros(grid.size, np.float32)
    background = np.ones(grid.size, np.float32)
    margin = reach(regions, antialiasing_sigmas(regions, grid))
    boxes = {v: box for v, box in enumerate(ndimage.find_objects(labels), start=1) if box is not None}
    for value, box in boxes.items():
        share = resample(sitk.Equal(_box_of(regions, box, margin), value), grid)
        background -= share
        better = share > largest
        winner[better] = value
        largest[better] = share[better]
    winner[(largest < background - 1e-6) | ~covered(regions, grid)] = 0
    lesions = {value: boxes[value] for value in dataset.region_values("lesion") if value in boxes}
    _keep_lesions(winner, labels, regions, grid, lesions)
    return winner


def _box_of(regions: sitk.Image, box: tuple[slice, ...], margin: NDArray[np.int64]) -> sitk.Image:
    """The part (z, y, x) of the map and so much round it that its resampled indicator fades to 0 inside."""
    first = np.maximum([b.start for b in box] - margin, 0)
    last = np.minimum([b.stop for b in box] + margin, regions.GetSize()[::-1])
    return sitk.RegionOfInterest(regions, [int(n) for n in (last - first)[::-1]], [int(i) for i in first[::-1]])


def _keep_lesions(
    result: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    regions: sitk.Image,
    grid: Grid,
    boxes: Mapping[int, tuple[slice, ...]],
) -> None:
    for value, box in boxes.items():
        found, count = cc3d.connected_components(labels[box] == value, connectivity=26, return_N=True)
        voxels = np.argwhere(found) + [b.start for b in box]
        number = found[found > 0]
        survived = np.zeros(count + 1, bool)
        for step in (SPARSE, 1):  # of a large lesion a few voxels tell that it is there
            some = np.flatnonzero(~survived[number])[::step]
            place, inside = _places(voxels[some], regions, grid)
            hit = inside & (result[tuple(np.where(inside[:, None], place, 0).T)] == value)
            survived[number[some[hit]]] = True
        for lost in np.flatnonzero(~survived[1:]) + 1:
            own = voxels[number == lost]
            place, inside = _places(own[[_most_central(own, regions)]], regions, grid)
            if inside[0]:
                result[tuple(place[0])] = value


def _places(voxels: NDArray[np.int64], regions: sitk.Image, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The voxel (z, y, x) of the grid in which each of the map lies, and whether there is such a one."""
    step = np.array(regions.GetDirection()).reshape(3, 3) * np.array(regions.GetSpacing())
    exact = grid.continuous_index(voxels[:, ::-1] @ step.T + np.array(regions.GetOrigin()))
    place = np.rint(exact).astype(np.int64)
    return place, np.asarray(((place >= 0) & (place < np.array(grid.size))).all(axis=1))


def _most_central(voxels: NDArray[np.int64], regions: sitk.Image) -> int:
    difference = (voxels - voxels.mean(axis=0)) * np.array(regions.GetSpacing()[::-1])
    return int((difference**2).sum(axis=1).argmin())
