"""Reading one case for prediction: checked images in canonical orientation, and the CT's own geometry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from reactkd_auto.dataset import Dataset
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import ImageFault, RawCase, check_units, read_regions, same_grid, to_canonical
from reactkd_auto.imageio.sources import ImageSource
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
    """A case as read.

    Attributes:
        raw: Images in canonical orientation.
        own: How the base image lies in its file.
        notes: What was left out, and why.
    """

    raw: RawCase
    own: Geometry
    notes: tuple[str, ...] = ()


def read_case(case: InputCase, dataset: Dataset) -> ReadCase:
    """Read and check a case's files.

    A channel beside the base that can't be used is left out, with a note: its absence is normal.

    Raises:
        UserError: The base image is missing, or it or the region map is not what it should be.
    """
    if case.fault:
        raise UserError(case.fault)
    if 0 not in case.channels:
        other = next(iter(case.channels.values()), None)
        beside = f"beside {other.path.name}" if other is not None else f"only other channels of {case.case!r}"
        raise UserError(f"no {dataset.base.name} image found {beside}, expected {case.case}_0000 or {case.case}.")
    base = _checked(case.channels[0], dataset, 0)
    own, images, notes = geometry(base), {0: to_canonical(base)}, list(case.notes)
    for channel, source in case.channels.items():
        if channel == 0:
            continue
        try:
            images[channel] = to_canonical(_checked(source, dataset, channel))
        except UserError as error:
            notes.append(f"{dataset.channels[channel].name} is left out: {error}")
    regions = None if case.regions is None else _regions(case.regions, images[0], dataset, case)
    return ReadCase(RawCase(case.case, images, regions), own, tuple(notes))


def _checked(source: ImageSource, dataset: Dataset, channel: int) -> sitk.Image:
    image = source.read()
    check_units(image, dataset.channels[channel].role, source.path)
    return image


def _regions(path: Path, base: sitk.Image, dataset: Dataset, case: InputCase) -> sitk.Image:
    regions = to_canonical(read_regions(path, [r.value for r in dataset.regions]))
    if not same_grid(base, regions):
        found = f"a region map of {' × '.join(map(str, regions.GetSize()))} voxels that lies elsewhere"
        image = case.case if case.channels[0].dicom else case.channels[0].path.name
        raise ImageFault(path, found, f"the grid of {image}")
    return regions


def geometry(image: sitk.Image) -> Geometry:
    """Geometry of an image."""
    return Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def on_own_grid(regions: sitk.Image, own: Geometry) -> sitk.Image:
    """A canonical region map in the orientation of the file that the CT came in; labels are moved, not mixed."""
    if geometry(regions) == own:
        return regions
    return sitk.Resample(regions, own.reference(), sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
