"""One CT to one region map; picklable, so that worker processes can do it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from reactkd_auto.dataset_conversion.region_making.structures import Structure
from reactkd_auto.dataset_conversion.region_making.targets import Target, write_map
from reactkd_auto.dataset_conversion.region_making.totalsegmentator import TotalSegmentator
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import check_units, read_image, to_canonical
from reactkd_auto.preprocessing.supervoxels import supervoxel_map


@dataclass(frozen=True)
class SupervoxelMaker:
    """The body in parts.

    Attributes:
        method: What a map depends on, beside the CT.
        values: Region value of each supervoxel.
    """

    method: str
    values: tuple[int, ...]

    def __call__(self, target: Target) -> None:
        """Make and write a case's map.

        Raises:
            UserError: A CT that can't be used.
        """
        ct = _read_ct(target.image)
        parts = supervoxel_map(to_canonical(ct), self.values)
        stored = sitk.Resample(parts, ct, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
        write_map(target, stored, method=self.method, using="supervoxels")


@dataclass(frozen=True)
class OrganMaker:
    """Organs by TotalSegmentator.

    Attributes:
        method: What a map depends on, beside the CT.
        tool: The command.
        structures: What to find, later ones cover earlier ones; with the region value of each.
    """

    method: str
    tool: TotalSegmentator
    structures: tuple[tuple[Structure, int], ...]

    def __call__(self, target: Target) -> None:
        """Make and write a case's map.

        Raises:
            UserError: A CT that can't be used, TotalSegmentator failed, or it found no organ.
        """
        ct = _read_ct(target.image)
        masks = self.tool.segment(target.image, ct, [c for s, _ in self.structures for c in s.classes])
        labels = np.zeros(ct.GetSize()[::-1], np.uint8)
        organ_found = False
        for structure, value in self.structures:
            mask = np.any([sitk.GetArrayViewFromImage(masks[c]) > 0 for c in structure.classes], axis=0)
            organ_found |= structure.role == "organ" and bool(mask.any())
            labels[mask] = value
        if not organ_found:
            organs = " or ".join(s.name for s, _ in self.structures if s.role == "organ")
            raise UserError(f"{target.image}: TotalSegmentator found no {organs}, expected an organ; is this its CT?")
        image = sitk.GetImageFromArray(labels)
        image.CopyInformation(ct)
        write_map(target, image, method=self.method, using="totalsegmentator")


def _read_ct(path: Path) -> sitk.Image:
    """As it is stored, in HU."""
    image = read_image(path)
    check_units(image, "ct", path)
    return image
