"""A DICOM series as one image: CT in HU, PET in SUV by body weight, MR as stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .dicom_files import dicom_paths
from .dicom_geometry import SeriesGrid, series_grid
from .dicom_header import DicomFile, read_header
from .dicom_pixels import fill_padding, read_pixels
from .dicom_series import check_series, series_name
from .dicom_suv import suv_factors
from .faults import ImageFault
from .nifti_header import check_finite


def series_paths(path: Path) -> list[Path]:
    """The files of a folder's series.

    Raises:
        ImageFault: There are none.
    """
    paths = dicom_paths(path) if path.is_dir() else [path]
    if not paths:
        raise ImageFault(path, "a folder without DICOM files", "the slices of one series directly in it")
    return paths


def read_dicom(path: Path) -> sitk.Image:
    """Read the series in a folder (not in its sub-folders); a single file is refused, with the reason.

    Raises:
        ImageFault: No DICOM files, or anything that `read_series` finds.
    """
    return read_series(series_paths(path))


def open_series(paths: Sequence[Path]) -> tuple[str, SeriesGrid]:
    """Modality and grid of the files of one series; no pixel is read yet.

    Raises:
        ImageFault: See `check_series`, `series_grid`.
    """
    files: list[DicomFile] = [read_header(p) for p in paths]
    return check_series(files), series_grid(files)


def read_series(paths: Sequence[Path]) -> sitk.Image:
    """Read the files of one series as a float32 image; slices in order along their normal, axes as stored.

    CT is in HU (padding becomes air), PET in SUVbw, MR in the scanner's own units.

    Raises:
        ImageFault: See `check_series`, `series_grid`, `read_pixels`, `suv_factors`.
    """
    modality, grid = open_series(paths)
    factors = suv_factors(grid.files) if modality == "PT" else None
    stack = read_pixels(grid.files)
    if modality == "CT":
        fill_padding(stack, grid.files)
    if factors is not None:
        stack *= factors.astype(np.float32)[:, None, None]
    check_finite(series_name(grid.files), stack)
    image = sitk.GetImageFromArray(stack)
    image.SetOrigin(grid.origin)
    image.SetSpacing(grid.spacing)
    image.SetDirection(grid.direction)
    return image
