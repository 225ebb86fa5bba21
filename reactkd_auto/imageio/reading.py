"""Reading 3D images (NIfTI, NRRD, MetaImage, a folder with a DICOM series) with every check that ITK leaves open."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .faults import ImageFault
from .nifti_header import check_direction, check_finite, check_header, read_values

FORMATS = {".nii.gz": "NiftiImageIO", ".nii": "NiftiImageIO", ".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}
SMALLEST_SPACING_MM = 0.05
LARGEST_SPACING_MM = 50.0
_MAY_BE_NOT_FINITE = (sitk.sitkFloat32, sitk.sitkFloat64)


def read_image(path: Path) -> sitk.Image:
    """Read a 3D scalar image as float32, in the orientation in which it is stored.

    A folder is read as one DICOM series: CT in HU, PET in SUV by body weight, MR in the scanner's units (see
    `reactkd_auto.imageio.dicom`). Values of other files are taken as they are.

    Raises:
        ImageFault: The file is missing, of an unknown format, empty, cut off, not an image, not three-dimensional,
            coloured, without plausible spacing (0.05…50 mm), sheared, of contradicting geometry, or has NaN or
            infinite voxels; a series is incomplete, mixed or can't be converted. The message names the file, what was
            found and what was expected.
    """
    stored = _read_as_stored(Path(path))
    image = sitk.Cast(stored, sitk.sitkFloat32)
    if stored.GetPixelID() in _MAY_BE_NOT_FINITE:
        check_finite(path, sitk.GetArrayViewFromImage(image))
    return image


def read_regions(path: Path, allowed_values: Iterable[int]) -> sitk.Image:
    """Read a region map as uint8; 0 is background.

    Args:
        path: The file.
        allowed_values: Voxel values that `dataset.json` names.

    Raises:
        ImageFault: As `read_image`; or a voxel is not an integer, or a value is not among ``allowed_values`` and 0.
    """
    allowed = sorted({0, *allowed_values})
    path = Path(path)
    image = _read_as_stored(path)
    array = sitk.GetArrayViewFromImage(image)
    check_finite(path, array)
    values = np.unique(np.concatenate([np.unique(axial) for axial in array]))
    expected = f"only the values {', '.join(map(str, allowed))}"
    if (fractional := values[values != np.round(values)]).size:
        raise ImageFault(path, f"a region map with the non-integer value {fractional[0]:.6g}", expected)
    if (unknown := np.setdiff1d(values, allowed)).size:
        listed = ", ".join(f"{v:.0f}" for v in unknown[:5]) + (", …" if unknown.size > 5 else "")
        raise ImageFault(path, f"a region map with unknown values {listed}", expected)
    return sitk.Cast(image, sitk.sitkUInt8)


def image_format(path: Path) -> str:
    """Name of ITK's reader and writer for a file name.

    Raises:
        ImageFault: The ending is none of ``.nii.gz``, ``.nii``, ``.nrrd``, ``.mha``.
    """
    for ending, name in FORMATS.items():
        if path.name.lower().endswith(ending):
            return name
    raise ImageFault(path, "an unknown file ending", f"one of {', '.join(FORMATS)}")


def _read_as_stored(path: Path) -> sitk.Image:
    """`read_image` in the file's own type, not yet known to be finite."""
    if path.is_dir() or _is_dicom(path):
        from .dicom import read_dicom

        return read_dicom(path)
    return _read_checked(path)


def _is_dicom(path: Path) -> bool:
    if any(path.name.lower().endswith(ending) for ending in FORMATS):
        return False
    from .dicom_files import has_dicom_preamble

    return has_dicom_preamble(path)


def open_image(path: Path) -> tuple[sitk.ImageFileReader, tuple[int, ...]]:
    """A reader that knows an image's geometry, and the image's size (x, y, z, …); no voxel is read yet.

    Raises:
        ImageFault: As `read_image`, but for what only the voxels tell.
    """
    name = image_format(path)
    if not path.is_file():
        raise ImageFault(path, "no such file", "an image")
    if path.stat().st_size == 0:
        raise ImageFault(path, "an empty file (0 bytes)", "an image")
    if name == "NiftiImageIO":
        check_header(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(name)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _fault_from(path, str(error)) from None
    size = _check_information(path, reader)
    check_direction(path, direction_of(reader))
    return reader, size


def read_voxels(path: Path, reader: sitk.ImageFileReader, size: tuple[int, ...]) -> sitk.Image:
    """The image of `open_image`, in its own type.

    Raises:
        ImageFault: The file is damaged or cut off.
    """
    if len(size) > 3:  # one time point: ask for the volume without its fourth axis
        reader.SetExtractSize([*size[:3], *[0] * (len(size) - 3)])
    try:
        return reader.Execute()
    except RuntimeError as error:
        raise _fault_from(path, str(error)) from None


def direction_of(reader: sitk.ImageFileReader) -> NDArray[np.float64]:
    """(3, 3) axes of an opened image, one a column."""
    n = math.isqrt(len(reader.GetDirection()))
    return np.reshape(reader.GetDirection(), (n, n))[:3, :3]


def _read_checked(path: Path) -> sitk.Image:
    reader, size = open_image(path)
    if image_format(path) != "NiftiImageIO":
        return read_voxels(path, reader, size)
    image = sitk.GetImageFromArray(read_values(path))
    image.SetSpacing(reader.GetSpacing()[:3])
    image.SetOrigin(reader.GetOrigin()[:3])
    image.SetDirection(direction_of(reader).ravel().tolist())
    return image


def _check_information(path: Path, reader: sitk.ImageFileReader) -> tuple[int, ...]:
    size = tuple(int(n) for n in reader.GetSize())
    if reader.GetNumberOfComponents() != 1:
        found = f"{reader.GetNumberOfComponents()} numbers a voxel (colour, vector or complex)"
        raise ImageFault(path, found, "one number a voxel")
    if len(size) < 3 or any(n != 1 for n in size[3:]):
        raise ImageFault(path, f"an image of size {' × '.join(map(str, size))}", "three dimensions")
    spacing = [float(s) for s in reader.GetSpacing()[:3]]
    if not all(SMALLEST_SPACING_MM <= s <= LARGEST_SPACING_MM for s in spacing):
        raise ImageFault(
            path,
            f"voxel spacing {' × '.join(f'{s:g}' for s in spacing)} mm (x, y, z)",
            f"{SMALLEST_SPACING_MM:g}…{LARGEST_SPACING_MM:g} mm",
        )
    return size


def _fault_from(path: Path, message: str) -> ImageFault:
    """ITK's many lines as one clause; its wording for shear is its own."""
    if "orthonormal" in message:
        return ImageFault(path, "sheared axes", "axes at right angles; resample on a rectangular grid")
    return ImageFault(path, "a file that is damaged, cut off or not an image", "a complete image of its format")
