"""Structure sets (RTSTRUCT): closed contours as masks on a CT's grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from reactkd_auto.dataset_conversion.dicom.grids import check_neighbours, to_index
from reactkd_auto.imageio import ImageFault
from reactkd_auto.imageio.dicom_header import DicomFile, read_header

LARGEST_OFF_SLICE = 0.25
FEWEST_POINTS = 3


def structure_names(path: Path, frames: frozenset[str]) -> dict[int, str]:
    """Names of a structure set's regions by their number, without those in another frame of reference."""
    items = read_header(path).items("StructureSetROISequence")
    here = [r for r in items if not frames or r.text("ReferencedFrameOfReferenceUID") in {"", *frames}]
    return {r.integer("ROINumber"): r.text("ROIName") for r in here}


def contour_masks(path: Path, numbers: set[int], grid: sitk.Image) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Masks (z, y, x) of some regions of a structure set on a grid.

    A voxel belongs to a region if its centre lies inside an odd number of the region's contours in its slice, so inner
    contours are holes, whether they are drawn apart or joined to the outer one by a narrow channel.

    Yields:
        (number, mask); regions without closed planar contours are passed over.

    Raises:
        ImageFault: Contours off the slices of the grid, outside it, or on no two neighbouring slices; a damaged file.
    """
    for item in read_header(path).items("ROIContourSequence"):
        number = item.integer("ReferencedROINumber")
        contours = [c for c in item.items("ContourSequence") if _is_area(c)]
        if number in numbers and contours:
            yield number, _fill(path, [_points(c) for c in contours], grid)


def _is_area(contour: DicomFile) -> bool:
    return contour.text("ContourGeometricType").upper() in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


def _points(contour: DicomFile) -> NDArray[np.float64]:
    try:
        return np.array([float(v) for v in contour.value("ContourData")]).reshape(-1, 3)
    except (TypeError, ValueError):
        raise ImageFault(contour.path, "a contour without usable points", "x, y, z of each point in mm") from None


def _fill(path: Path, contours: list[NDArray[np.float64]], grid: sitk.Image) -> NDArray[np.bool_]:
    columns, rows, slices = grid.GetSize()
    planes: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
    for points in contours:
        index = to_index(grid, points)
        plane = round(float(index[:, 2].mean()))
        if np.abs(index[:, 2] - plane).max() > LARGEST_OFF_SLICE:
            raise ImageFault(path, "contours between the slices of the CT", "contours drawn on the CT's slices")
        if not 0 <= plane < slices:
            raise ImageFault(path, "contours beyond the CT's first or last slice", "contours on the CT's slices")
        if len(points) >= FEWEST_POINTS and not any(np.array_equal(index, other) for other in planes[plane]):
            planes[plane].append(index)
    check_neighbours(path, set(planes))
    mask = np.zeros((slices, rows, columns), bool)
    for plane, polygons in planes.items():
        for index in polygons:
            mask[plane] ^= polygon2mask((rows, columns), index[:, 1::-1])
    return mask
