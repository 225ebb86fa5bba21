"""Images that may be larger than memory: unpacked into a memory map slab by slab, written slice by slice."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import DTypeLike, NDArray

from .faults import ImageFault
from .nifti_header import check_header, read_voxels_into, slope_and_intercept
from .reading import direction_of, image_format, open_image, read_voxels
from .sources import ImageSource
from .unpacking import open_unpacked, read_to_end

if TYPE_CHECKING:
    from .dicom_header import DicomFile

_SLAB_BYTES = 1 << 20
_COMPRESSION = 1
"""Noise hardly compresses: higher levels take three times as long for 3 % of the size."""


@dataclass(frozen=True)
class Placement:
    """Where an image lies, in ITK's terms.

    Attributes:
        spacing, origin: (x, y, z) mm.
        direction: Nine numbers, row by row.
    """

    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) from indices (x, y, z) to NIfTI's right, anterior, superior in mm."""
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(self.direction, (3, 3)) * np.asarray(self.spacing)
        affine[:3, 3] = self.origin
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


@dataclass(frozen=True, eq=False)
class MappedImage:
    """An image whose voxels lie in a file.

    Attributes:
        array: (z, y, x) as stored, memory map of real-world values (HU); integers where the file has them.
        placement: Where it lies.
        lowest, highest: Of the finite values above ``padding``; both NaN where there are none.
        missing: NaN or infinite voxels.
    """

    array: NDArray[Any]
    placement: Placement
    lowest: float
    highest: float
    missing: int


def map_image(source: ImageSource, scratch: Path, *, padding: float = -np.inf) -> MappedImage:
    """Unpack an image into a file beside which memory holds no more than a few slabs of it.

    NIfTI files and DICOM series are unpacked slab by slab. NRRD and MetaImage go through ITK, which holds the whole
    volume once, in its own type, while it unpacks it.

    Args:
        source: NIfTI, NRRD, MetaImage, or a CT as a DICOM series.
        scratch: File for the voxels, of the size of the unpacked volume; the caller removes it when done.
        padding: Values up to this one don't count for ``lowest`` and ``highest``.

    Raises:
        ImageFault: As `read_image`, except that NaN and infinite voxels are counted instead, and a CT's padding is
            left as it is; or a DICOM series that is no CT.
        OSError: The disk is full.
    """
    shape, placement, slabs = _open_series(source) if source.dicom else _open_file(source.path)
    kind, seen = np.dtype(np.int16), _Seen(padding)
    # Written, not mapped, while it grows: a full disk is then an error and not a bus error.
    with scratch.open("wb") as file:
        for slab in slabs:
            kind = slab.dtype
            seen.add(slab)
            file.write(np.ascontiguousarray(slab).data)
    # Copy on write: nothing is ever written, but torch warns of arrays that refuse it.
    array = np.memmap(scratch, dtype=kind, mode="c", shape=shape)
    return MappedImage(array, placement, seen.lowest, seen.highest, seen.missing)


_Opened = tuple[tuple[int, int, int], Placement, Iterator[NDArray[Any]]]


def _open_file(path: Path) -> _Opened:
    reader, size = open_image(path)
    x, y, z = size[:3]
    placement = Placement(reader.GetSpacing()[:3], reader.GetOrigin()[:3], tuple(direction_of(reader).ravel().tolist()))
    slabs = _nifti_slabs(path, (z, y, x)) if image_format(path) == "NiftiImageIO" else _itk_slabs(path, reader, size)
    return (z, y, x), placement, slabs


def _open_series(source: ImageSource) -> _Opened:
    from .dicom import open_series

    modality, grid = open_series(source.files)
    if modality != "CT":
        raise ImageFault(source.path, f"a DICOM series of modality {modality}", "CT")
    files = grid.files
    shape = (len(files), int(files[0].header.Rows), int(files[0].header.Columns))
    (sx, sy, sz), (ox, oy, oz) = grid.spacing, grid.origin
    return shape, Placement((sx, sy, sz), (ox, oy, oz), grid.direction), _dicom_slabs(files)


class _Seen:
    """Range of the values so far."""

    def __init__(self, padding: float) -> None:
        self.padding = padding
        self.lowest = self.highest = float("nan")
        self.missing = 0

    def add(self, slab: NDArray[Any]) -> None:
        if slab.dtype.kind == "f":
            finite = np.isfinite(slab)
            self.missing += slab.size - int(np.count_nonzero(finite))
            slab = slab[finite]
        field = slab[slab > self.padding]
        if field.size:
            self.lowest = float(np.fmin(self.lowest, field.min()))
            self.highest = float(np.fmax(self.highest, field.max()))


def _itk_slabs(path: Path, reader: sitk.ImageFileReader, size: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    image = read_voxels(path, reader, size)
    array = sitk.GetArrayViewFromImage(image)
    step = max(1, _SLAB_BYTES // array[:1].nbytes)
    for first in range(0, len(array), step):
        yield array[first : first + step]


def _dicom_slabs(files: Sequence[DicomFile]) -> Iterator[NDArray[Any]]:
    """Slices in HU; 16-bit integers unless a slope or an intercept is fractional."""
    from .dicom_pixels import read_pixels

    scaling = [v for f in files for name in ("RescaleSlope", "RescaleIntercept") for v in f.numbers(name, 1)]
    whole = all(v.is_integer() for v in scaling)
    for file in files:
        values = read_pixels((file,))
        yield _as_int16(file.path, values) if whole else values


def _nifti_slabs(path: Path, shape: tuple[int, int, int]) -> Iterator[NDArray[Any]]:
    header = check_header(path)
    stored, (slope, intercept) = header.get_data_dtype(), slope_and_intercept(header)
    wanted = _value_type(stored, slope, intercept)
    step = max(1, _SLAB_BYTES // (shape[1] * shape[2] * stored.itemsize))
    with open_unpacked(path) as file:
        file.seek(int(header.get_data_offset()))
        for first in range(0, shape[0], step):
            slices = min(step, shape[0] - first)
            slab = np.empty((slices, *shape[1:]), stored)
            read_voxels_into(path, file, slab)
            yield _scaled(path, slab, slope, intercept, wanted)
        read_to_end(path, file)


def _value_type(stored: np.dtype[Any], slope: float, intercept: float) -> np.dtype[Any]:
    """The stored type; int16 for integers with a whole-numbered slope and intercept, float32 for all else."""
    if (slope, intercept) == (1, 0):
        return stored.newbyteorder("=")
    whole = stored.kind in "iu" and slope.is_integer() and intercept.is_integer()
    return np.dtype(np.int16 if whole else np.float32)


def _scaled(path: Path, slab: NDArray[Any], slope: float, intercept: float, wanted: np.dtype[Any]) -> NDArray[Any]:
    if (slope, intercept) == (1, 0):
        return slab.astype(wanted, copy=False)
    values = slab.astype(np.float64) * slope + intercept
    return _as_int16(path, values) if wanted == np.int16 else values.astype(wanted)


def _as_int16(path: Path, values: NDArray[Any]) -> NDArray[np.int16]:
    limits = np.iinfo(np.int16)
    if values.min() < limits.min or values.max() > limits.max:
        raise ImageFault(path, f"values {values.min():g}…{values.max():g}", "HU, which fit into 16 bits")
    return np.rint(values).astype(np.int16)


class NiftiWriter:
    """Writes a compressed NIfTI file slice by slice; the same voxels give the same bytes.

    Use it as a context manager inside `reactkd_auto.jsonio.atomic_path`.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: DTypeLike, placement: Placement) -> None:
        import nibabel

        header = nibabel.Nifti1Header()
        header.set_data_dtype(np.dtype(dtype))
        header.set_data_shape(shape[::-1])
        header.set_xyzt_units("mm")
        header.set_qform(placement.affine, code=1)
        header.set_sform(placement.affine, code=1)
        header["vox_offset"] = 352
        self._dtype = np.dtype(dtype)
        self._files = ExitStack()
        raw = self._files.enter_context(path.open("wb"))
        # No name and no time inside: same voxels, same bytes.
        self._file = self._files.enter_context(gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0))
        self._file.write(header.binaryblock + bytes(4))

    def write(self, slices: NDArray[Any]) -> None:
        """Append slices (n, y, x) or one (y, x) of the type given."""
        self._file.write(np.ascontiguousarray(slices, dtype=self._dtype).data)

    def __enter__(self) -> NiftiWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._files.close()
