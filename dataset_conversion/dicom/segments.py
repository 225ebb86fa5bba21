"""DICOM segmentations (SEG): frames of 0 and 1, or of fractions, as masks on a CT's grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.config import disable_value_validation

from reactkd_auto.dataset_conversion.dicom.grids import check_neighbours, index_axes, to_index
from reactkd_auto.imageio import ImageFault
from reactkd_auto.imageio.dicom_header import read_header

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
LARGEST_OFF_VOXEL = 0.1
LARGEST_STRETCH = 0.01
_DAMAGE = (AttributeError, EOFError, IndexError, KeyError, OSError, RuntimeError, TypeError, ValueError)


def segment_names(path: Path, frames: frozenset[str]) -> dict[int, str]:
    """Labels of a segmentation's segments by their number; none where it lies in another frame of reference.

    Raises:
        ImageFault: A label map segmentation.
    """
    file = read_header(path)
    if file.text("SOPClassUID") == LABEL_MAP:
        raise ImageFault(path, "a label map segmentation", "a binary or fractional one")
    if frames and file.text("FrameOfReferenceUID") not in {"", *frames}:
        return {}
    return {s.integer("SegmentNumber"): s.text("SegmentLabel") for s in file.items("SegmentSequence")}


def segment_masks(path: Path, numbers: set[int], grid: sitk.Image) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Masks (z, y, x) of some segments on a grid; of fractions, those of at least a half.

    Frames may run in another order or direction than the CT, but every voxel must be one of the CT's.

    Yields:
        (number, mask).

    Raises:
        ImageFault: A damaged file, another grid than the CT's, or voxels outside it.
    """
    file = read_header(path)
    half = file.integer("MaximumFractionalValue", 1) / 2 if file.code("SegmentationType") == "FRACTIONAL" else 0.5
    try:
        with disable_value_validation():
            whole = pydicom.dcmread(path)
            frames = whole.pixel_array.reshape(-1, int(whole.Rows), int(whole.Columns))
            places = [_place(whole, i) for i in range(len(frames))]
    except _DAMAGE as error:
        found = f"a segmentation that is damaged or can't be decoded ({type(error).__name__})"
        raise ImageFault(path, found, "a complete DICOM SEG") from None
    chosen: dict[int, list[int]] = defaultdict(list)
    for index, (number, *_) in enumerate(places):
        if number in numbers:
            chosen[number].append(index)
    for number, indices in sorted(chosen.items()):
        mask = np.zeros(grid.GetSize()[::-1], bool)
        for index in indices:
            _paint(path, mask, frames[index] >= half, places[index][1:], grid)
        check_neighbours(path, set(np.flatnonzero(mask.any(axis=(1, 2))).tolist()))
        yield number, mask


def _place(whole: pydicom.Dataset, index: int) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Segment number, position (mm) of the first pixel, and the displacements (mm) along a row and along a column."""
    frame = whole.PerFrameFunctionalGroupsSequence[index]
    number = int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
    orientation = np.array(_shared(whole, frame, "PlaneOrientationSequence").ImageOrientationPatient, float)
    rows_mm, columns_mm = map(float, _shared(whole, frame, "PixelMeasuresSequence").PixelSpacing)
    return number, position, np.stack([orientation[:3] * columns_mm, orientation[3:] * rows_mm])


def _shared(whole: pydicom.Dataset, frame: Any, keyword: str) -> Any:
    """First item of a sequence that stands with the frame or with all frames together."""
    items = frame.get(keyword) or whole.SharedFunctionalGroupsSequence[0].get(keyword)
    return items[0]


def _paint(
    path: Path,
    mask: NDArray[np.bool_],
    frame: NDArray[np.bool_],
    place: tuple[NDArray[np.float64], NDArray[np.float64]],
    grid: sitk.Image,
) -> None:
    first, steps = to_index(grid, place[0][None])[0], place[1] @ index_axes(grid).T
    rows, columns = np.nonzero(frame)
    if not rows.size:
        return
    exact = first + columns[:, None] * steps[0] + rows[:, None] * steps[1]
    voxels = np.round(exact).astype(int)
    off = np.abs(exact - voxels).max()
    stretched = np.abs(np.abs(steps).sum(axis=1) - 1).max()
    if off > LARGEST_OFF_VOXEL or stretched > LARGEST_STRETCH:
        raise ImageFault(
            path, "segments on another grid than the CT's", "every voxel of a segment to be one of the CT's"
        )
    if (voxels < 0).any() or (voxels >= np.array(grid.GetSize())).any():
        raise ImageFault(path, "segments that reach beyond the CT", "segments inside the CT")
    mask[voxels[:, 2], voxels[:, 1], voxels[:, 0]] = True
