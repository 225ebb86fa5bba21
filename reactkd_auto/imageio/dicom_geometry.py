"""The grid of a DICOM series from the positions of its slices; nothing is interpolated over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .dicom_header import DicomFile
from .dicom_series import series_name
from .faults import ImageFault
from .nifti_header import check_direction

SAME_POSITION_MM = 1e-3
LARGEST_SIDEWAYS_PIXELS = 0.25
LARGEST_OFF_GRID_STEPS = 0.1
MISSING_STEPS = 1.5


@dataclass(frozen=True)
class SeriesGrid:
    """Slices in order along the normal, and ITK's geometry (x, y, z; mm).

    Attributes:
        files: In order.
        origin: Centre of the first voxel of the first slice.
        spacing: Columns, rows, slices.
        direction: Three columns: along a row, along a column, the normal; row-major.
    """

    files: tuple[DicomFile, ...]
    origin: tuple[float, ...]
    spacing: tuple[float, ...]
    direction: tuple[float, ...]


def series_grid(files: Sequence[DicomFile]) -> SeriesGrid:
    """Sort slices by position along their normal and check that they make one rectangular, regular grid.

    Slices may lie off the regular grid by a tenth of a step and off the common axis by a quarter of a pixel: scanners
    round. (ITK's mark of non-uniform sampling bears no rounding; a published PET whose steps are 3.19…3.29 mm has it.)
    Slices missing at an end can't be noticed: no header says reliably how many there were.

    Raises:
        ImageFault: Axes not at right angles, two slices at one position, a gantry tilt, slices displaced sideways,
            missing slices, irregular spacing.
    """
    where = series_name(files)
    orientation = np.reshape(files[0].numbers("ImageOrientationPatient", 6), (2, 3))
    axes = np.column_stack([*orientation, np.cross(*orientation)])
    check_direction(where, axes)
    positions = np.array([f.numbers("ImagePositionPatient", 3) for f in files])
    order = np.argsort(positions @ axes[:, 2], kind="stable")
    ordered, positions = [files[i] for i in order], positions[order]
    rows_mm, columns_mm = files[0].numbers("PixelSpacing", 2)
    along = positions @ axes[:, 2]
    _check_distinct(where, ordered, along)
    _check_sideways(where, positions, along, axes, min(rows_mm, columns_mm))
    _check_regular(where, ordered, along)
    step = float((along[-1] - along[0]) / (len(along) - 1))
    return SeriesGrid(
        tuple(ordered),
        tuple(positions[0].tolist()),
        (columns_mm, rows_mm, step),
        tuple(axes.ravel().tolist()),
    )


def _check_distinct(where: Path, files: Sequence[DicomFile], along: NDArray[np.float64]) -> None:
    same = np.flatnonzero(np.diff(along) <= SAME_POSITION_MM)
    if same.size:
        first, second = files[same[0]].path.name, files[same[0] + 1].path.name
        raise ImageFault(
            where,
            f"duplicated slices: {same.size} positions hold more than one, for instance {first} and {second}",
            "one slice a position: one phase, one time point, no copies",
        )


def _check_sideways(
    where: Path, positions: NDArray[np.float64], along: NDArray[np.float64], axes: NDArray[np.float64], pixel_mm: float
) -> None:
    sideways = (positions - positions[0]) @ axes[:, :2]
    limit = LARGEST_SIDEWAYS_PIXELS * pixel_mm
    if np.linalg.norm(sideways, axis=1).max() <= limit:
        return
    share = (along - along[0]) / (along[-1] - along[0])
    straight = np.linalg.norm(sideways - share[:, None] * sideways[-1], axis=1).max() <= limit
    if straight:
        angle = float(np.degrees(np.arctan2(np.linalg.norm(sideways[-1]), along[-1] - along[0])))
        found = f"a gantry tilt: slices are stacked {angle:.1f}° off their normal"
    else:
        found = f"slices displaced sideways by up to {np.linalg.norm(sideways, axis=1).max():.1f} mm"
    raise ImageFault(where, found, "slices stacked along their normal; reconstruct or resample the series without it")


def _check_regular(where: Path, files: Sequence[DicomFile], along: NDArray[np.float64]) -> None:
    regular = np.linspace(along[0], along[-1], len(along))
    steps = np.diff(along)
    typical = float(np.median(steps))
    wide = np.flatnonzero(steps > MISSING_STEPS * typical)
    if wide.size:
        missing = int(np.round(steps[wide] / typical - 1).sum())
        after, before = files[wide[0]].path.name, files[wide[0] + 1].path.name
        raise ImageFault(
            where,
            f"missing slices: about {missing}, the first gap ({steps[wide[0]]:.4g} mm) between {after} and {before}",
            f"a slice every {typical:.4g} mm; copy the series again",
        )
    if np.abs(along - regular).max() > LARGEST_OFF_GRID_STEPS * steps.min():
        raise ImageFault(
            where,
            f"irregular slice spacing, {steps.min():.4g}…{steps.max():.4g} mm",
            "one spacing; reconstruct the series regularly",
        )
