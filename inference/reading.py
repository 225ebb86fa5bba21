"""Reading one case for prediction: checked images in canonical orientation, and the CT's own geometry."""

from __future__ import annotations

from dataclasses import dataclass

import SimpleITK as sitk

from reactkd_auto.dataset import Dataset
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import ImageFault, RawCase, check_units, read_image, read_regions, same_grid, to_canonical
from reactkd_auto.inference.inputs import InputCase


@dataclass(frozen=True)
class Geometry:
    """A grid in space, SimpleITK order (x, y, z), LPS."""

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    direction: tuple[float, ...]

    def reference(self) -> sitk.Image:
        """An empty image on this grid."""
        image = sitk.Image(self.size, sitk.sitkUInt8)
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)
        return image


@dataclass(frozen=True)
class ReadCase:
    """A case as read: images in canonical orientation, and how the base image lies in its file."""

    raw: RawCase
    own: Geometry


def read_case(case: InputCase, dataset: Dataset) -> ReadCase:
    """Read and check a case's files.

    Raises:
        UserError: The base image is missing, or a file is not what it should be.
    """
    if 0 not in case.channels:
        other = next(iter(case.channels.values()), None)
        beside = f"beside {other.name}" if other is not None else f"only other channels of {case.case!r}"
        raise UserError(f"no {dataset.base.name} image found {beside}, expected {case.case}_0000 or {case.case}.")
    images, own = {}, None
    for channel, path in case.channels.items():
        image = read_image(path)
        own = own or geometry(image)
        images[channel] = to_canonical(image)
        check_units(images[channel], dataset.channels[channel].role, path)
    assert own is not None
    regions = None
    if case.regions is not None:
        regions = to_canonical(read_regions(case.regions, [r.value for r in dataset.regions]))
        if not same_grid(images[0], regions):
            found = f"a region map of {' × '.join(map(str, regions.GetSize()))} voxels that lies elsewhere"
            raise ImageFault(case.regions, found, f"the grid of {case.channels[0].name}")
    return ReadCase(RawCase(case.case, images, regions), own)


def geometry(image: sitk.Image) -> Geometry:
    """Geometry of an image."""
    return Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def on_own_grid(regions: sitk.Image, own: Geometry) -> sitk.Image:
    """A canonical region map in the orientation of the file that the CT came in; labels are moved, not mixed."""
    return sitk.Resample(regions, own.reference(), sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
