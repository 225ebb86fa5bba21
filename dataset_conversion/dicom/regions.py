"""Structures drawn on a CT as one region map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.dataset_conversion.dicom.choices import RegionChoice, fits
from reactkd_auto.dataset_conversion.dicom.contours import contour_masks, structure_names
from reactkd_auto.dataset_conversion.dicom.segments import segment_masks, segment_names
from reactkd_auto.imageio import ImageFault
from reactkd_auto.imageio.dicom_tree import Series

_READERS = {"RTSTRUCT": (structure_names, contour_masks), "SEG": (segment_names, segment_masks)}


def region_map(
    structures: Sequence[Series], frames: frozenset[str], choices: Sequence[RegionChoice], grid: sitk.Image
) -> sitk.Image | None:
    """Map of the chosen regions on a grid (uint8), or None where nothing was drawn.

    Structures in frames of reference other than ``frames`` are passed over; regions that no structure fits are left
    out; where regions overlap, the later choice covers the earlier one.

    Raises:
        ImageFault: Structures, but none that fits any choice; a region drawn in two structure sets, or fitting two
            choices; an empty one; see also `contour_masks` and `segment_masks`.
    """
    if not structures:
        return None
    masks: dict[int, NDArray[np.bool_]] = {}
    drawn_in: dict[int, Path] = {}
    names: set[str] = set()
    for series in structures:
        path = series.files[0]
        read_names, read_masks = _READERS[series.kind]
        named = read_names(path, frames)
        names |= set(named.values())
        wanted = _assign(path, named, choices)
        for number, mask in read_masks(path, set(wanted), grid):
            region = wanted[number].region
            if drawn_in.setdefault(region.value, path) != path:
                found = f"region {region.name} also in {drawn_in[region.value].name}"
                raise ImageFault(path, found, "one structure set for a region; move the other away")
            if not mask.any():
                raise ImageFault(
                    path, f"structure {named[number]!r} without a voxel on the CT", "a structure on the CT"
                )
            masks[region.value] = masks[region.value] | mask if region.value in masks else mask
    if not masks:
        patterns, listed = ", ".join(c.pattern for c in choices), ", ".join(sorted(names)) or "none"
        found = f"no drawn structure that fits {patterns} among {listed}"
        raise ImageFault(structures[0].files[0], found, "at least one; give patterns that fit")
    return _paint(masks, grid)


def _assign(path: Path, named: dict[int, str], choices: Sequence[RegionChoice]) -> dict[int, RegionChoice]:
    """The choice that each structure's name fits, by the structure's number."""
    assigned = {}
    for number, name in named.items():
        fitting = [c for c in choices if fits(c.pattern, [name])]
        if len(fitting) > 1:
            regions = " and ".join(c.region.name for c in fitting)
            raise ImageFault(path, f"structure {name!r}, which fits {regions}", "patterns of which one fits")
        if fitting:
            assigned[number] = fitting[0]
    return assigned


def _paint(masks: dict[int, NDArray[np.bool_]], grid: sitk.Image) -> sitk.Image:
    values = np.zeros(grid.GetSize()[::-1], np.uint8)
    for value, mask in sorted(masks.items()):
        values[mask] = value
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(grid)
    return image
