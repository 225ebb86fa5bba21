"""The grid that a case is brought onto."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.dataset import Dataset
from reactkd_auto.imageio import RawCase, array_spacing
from reactkd_auto.plan import Plan, Triple, TripleMm
from reactkd_auto.regions.lookup import mask_of


@dataclass(frozen=True)
class Grid:
    """Voxel positions in the patient's space.

    Attributes:
        size, spacing_mm: (z, y, x).
        origin_mm, direction: Of the first voxel's centre, SimpleITK order (x, y, z), LPS.
    """

    size: Triple
    spacing_mm: TripleMm
    origin_mm: tuple[float, float, float]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> Grid:
        """Where an image's voxels lie."""
        x, y, z = image.GetSize()
        return cls((z, y, x), array_spacing(image), image.GetOrigin(), image.GetDirection())

    def image(self, array: NDArray[Any]) -> sitk.Image:
        """An array of this grid's size as an image in its place."""
        image = sitk.GetImageFromArray(np.ascontiguousarray(array))
        image.SetSpacing(self.spacing_mm[::-1])
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)
        return image

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing_mm))

    def corners(self) -> NDArray[np.float64]:
        """(8, 3) physical positions x, y, z of the corner voxels' centres."""
        ends = np.array([(k, j, i) for k in (0, 1) for j in (0, 1) for i in (0, 1)], float)
        return self.positions(ends * (np.array(self.size) - 1))

    def positions(self, voxels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Physical positions (n, 3) x, y, z of voxel coordinates (n, 3) z, y, x, whole ones or not."""
        offsets = (voxels * self.spacing_mm)[:, ::-1]
        return np.asarray(np.array(self.origin_mm) + offsets @ np.array(self.direction).reshape(3, 3).T)

    def slabs(self, count: int) -> list[tuple[slice, Grid]]:
        """Up to ``count`` parts along z, together the whole: where each lies in this grid's arrays, and its grid."""
        ends = np.unique(np.linspace(0, self.size[0], max(1, count) + 1).round().astype(int)).tolist()
        step = np.array(self.direction).reshape(3, 3)[:, 2] * self.spacing_mm[0]
        parts = []
        for first, stop in itertools.pairwise(ends):
            x, y, z = (float(v) for v in np.array(self.origin_mm) + step * first)
            size = (stop - first, *self.size[1:])
            parts.append((slice(first, stop), Grid(size, self.spacing_mm, (x, y, z), self.direction)))
        return parts

    def continuous_index(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Voxel coordinates (n, 3) z, y, x of physical positions (n, 3) x, y, z."""
        turned = (points - np.array(self.origin_mm)) @ np.linalg.inv(np.array(self.direction).reshape(3, 3)).T
        return np.asarray(turned[:, ::-1] / np.array(self.spacing_mm))


@dataclass(frozen=True)
class CaseGrid:
    """A case's grid, by how much it is coarser than planned, and whether regions decided its place."""

    grid: Grid
    zoom: float
    on_regions: bool


def case_grid(raw: RawCase, plan: Plan, dataset: Dataset) -> CaseGrid:
    """The box of ``patch_size + 2 × context_voxels`` round the organ and lesion regions.

    It is centred on the regions' bounding box, along the base image's axes; without regions, on the image. Where
    they are larger than the patch, the spacing of all axes is multiplied by one factor (``zoom``) so that they fit:
    nothing is cut off and nothing is distorted.
    """
    base = raw.images[0]
    box = _region_box(raw, dataset)
    first, last = (np.zeros(3), np.array(base.GetSize()[::-1]) - 1.0) if box is None else box
    extent = (last - first + 1) * array_spacing(base)
    room = np.array(plan.patch_size) * plan.spacing_mm
    zoom = max(1.0, float((extent / room).max()))
    if zoom < 1 + 1e-6:
        zoom = 1.0
    size = np.array(plan.patch_size) + 2 * np.array(plan.context_voxels)
    spacing = np.array(plan.spacing_mm) * zoom
    return CaseGrid(centred_grid(Grid.of(base), (first + last) / 2, size, spacing), zoom, box is not None)


def centred_grid(base: Grid, centre: NDArray[np.float64], size: NDArray[np.int_], spacing: NDArray[np.float64]) -> Grid:
    """A grid along the axes of ``base`` whose centre is at voxel ``centre`` (z, y, x) of it; all in (z, y, x)."""
    (middle,) = base.positions(centre[None])
    direction = np.array(base.direction).reshape(3, 3)
    origin = middle - direction @ ((size - 1) / 2 * spacing)[::-1]
    return Grid(
        size=(int(size[0]), int(size[1]), int(size[2])),
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=base.direction,
    )


def _region_box(raw: RawCase, dataset: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """First and last voxel (z, y, x) of organ and lesion regions, or None."""
    if raw.regions is None:
        return None
    wanted = dataset.region_values("organ") + dataset.region_values("lesion")
    found = mask_of(sitk.GetArrayViewFromImage(raw.regions), wanted)
    if not found.any():
        return None
    ends = [np.flatnonzero(found.any(axis=tuple(a for a in range(3) if a != axis)))[[0, -1]] for axis in range(3)]
    return np.array([e[0] for e in ends], float), np.array([e[1] for e in ends], float)
