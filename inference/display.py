"""The grid that pictures are cut from: an upright box round the case, all layers brought onto it by position."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.cases import CaseProperties
from reactkd_auto.dataset import Dataset, RegionRole

PICTURE_SIDE = 224
"""Voxels along the longest side; a picture's plane has about 400 pixels."""
AIR_HU = -1024.0


@dataclass(frozen=True)
class DisplayGrid:
    """Equally spaced and upright: axes run to the patient's left, back and head.

    Attributes:
        first_mm: (x, y, z), LPS, of the first voxel's centre.
        step_mm: Spacing.
        size: (x, y, z) voxels.
    """

    first_mm: tuple[float, float, float]
    step_mm: float
    size: tuple[int, int, int]

    def sample(self, source: sitk.Image, interpolator: int, outside: float = 0.0) -> NDArray[np.float32]:
        """Values (z, y, x) of an image of any geometry, ``outside`` where it does not reach."""
        target = sitk.Resample(
            source, self.size, sitk.Transform(), interpolator, self.first_mm, [self.step_mm] * 3,
            np.eye(3).ravel().tolist(), outside, sitk.sitkFloat32,
        )  # fmt: skip
        return np.asarray(sitk.GetArrayFromImage(target), dtype=np.float32)

    def voxel(self, place_mm: NDArray[np.float64]) -> tuple[int, int, int]:
        """(z, y, x) of the voxel that holds a place (x, y, z), or the nearest one."""
        at = np.round((place_mm - self.first_mm) / self.step_mm)
        x, y, z = (int(np.clip(c, 0, n - 1)) for c, n in zip(at, self.size, strict=True))
        return z, y, x


def display_grid(
    image: sitk.Image, properties: CaseProperties, grid_size: tuple[int, int, int], *, side: int
) -> DisplayGrid:
    """A grid that covers what the network saw of an image, as fine as the image or ``side`` voxels long.

    Args:
        image: Base image, any geometry.
        properties: Of the preprocessed case: its grid's place in space.
        grid_size: (z, y, x) voxels of that grid.
        side: Most voxels along the longest side.
    """
    low, high = _box(image, properties, grid_size)
    step = max(min(image.GetSpacing()), float((high - low).max()) / side)
    x, y, z = (max(1, math.ceil(e / step)) for e in high - low)
    first = low + step / 2
    return DisplayGrid((float(first[0]), float(first[1]), float(first[2])), step, (x, y, z))


@dataclass(frozen=True)
class DisplayCase:
    """Layers on one grid with equal spacing, axes z (to the head), y (to the back), x (to the patient's left).

    Attributes:
        image: float32 (z, y, x), base image in its units.
        regions: uint8 (z, y, x), the dataset's region values.
        explanation: float32 (z, y, x) share of the explanation, or None.
        spacing: mm, (z, y, x).
        centre: Voxel that the planes go through, (z, y, x).
        roles: Role of each region value.
        is_ct: False for a shape mask.
    """

    image: NDArray[np.float32]
    regions: NDArray[np.uint8]
    explanation: NDArray[np.float32] | None
    spacing: tuple[float, float, float]
    centre: tuple[int, int, int]
    roles: Mapping[int, RegionRole]
    is_ct: bool

    def voxels(self, mm: float) -> tuple[int, int, int]:
        """Voxels in this many mm along each axis, at least one."""
        z, y, x = (max(1, round(mm / s)) for s in self.spacing)
        return z, y, x


def display_case(
    image: sitk.Image,
    regions: sitk.Image | None,
    explanation: sitk.Image | None,
    *,
    dataset: Dataset,
    properties: CaseProperties,
    grid_size: tuple[int, int, int],
    centre_voxel: tuple[int, int, int],
) -> DisplayCase:
    """Bring a case's layers onto an upright grid that covers what the network saw.

    Args:
        image: Base image, any geometry.
        regions: Region map, any geometry in the same patient space.
        explanation: Explanation image.
        dataset: For the roles of regions.
        properties: Of the preprocessed case: its grid's place in space.
        grid_size: (z, y, x) voxels of that grid.
        centre_voxel: (z, y, x) on that grid, where the planes should cross.
    """
    grid = display_grid(image, properties, grid_size, side=PICTURE_SIDE)
    base_is_ct = dataset.base.role == "ct"
    array = grid.sample(image, sitk.sitkLinear, AIR_HU if base_is_ct else 0.0)
    nearest = sitk.sitkNearestNeighbor
    labels = np.zeros(array.shape, np.uint8) if regions is None else grid.sample(regions, nearest).astype(np.uint8)
    return DisplayCase(
        image=array,
        regions=labels,
        explanation=None if explanation is None else grid.sample(explanation, nearest),
        spacing=(grid.step_mm,) * 3,
        centre=grid.voxel(position_mm(properties, centre_voxel)),
        roles={r.value: r.role for r in dataset.regions},
        is_ct=base_is_ct,
    )


def position_mm(properties: CaseProperties, voxel: Sequence[float]) -> NDArray[np.float64]:
    """Place (x, y, z) in mm, LPS, of a voxel (z, y, x) of the case's grid."""
    matrix = np.array(properties.direction).reshape(3, 3)
    steps = np.array(voxel[::-1]) * np.array(properties.spacing_mm[::-1])
    return np.asarray(np.array(properties.origin_mm) + matrix @ steps, dtype=np.float64)


def _box(
    image: sitk.Image, properties: CaseProperties, grid_size: tuple[int, int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest (x, y, z) in mm of the case's grid, cut to the image."""
    corners = itertools.product(*((-0.5, n - 0.5) for n in grid_size))
    grid = np.array([position_mm(properties, corner) for corner in corners])
    ends = itertools.product(*((-0.5, n - 0.5) for n in image.GetSize()))
    measured = np.array([image.TransformContinuousIndexToPhysicalPoint(end) for end in ends])
    low = np.maximum(grid.min(axis=0), measured.min(axis=0))
    high = np.minimum(grid.max(axis=0), measured.max(axis=0))
    return low, high
