"""A NIfTI file's voxels, unpacked once, and checks of it that ITK does not make: it fills up what was cut off."""

from __future__ import annotations

import itertools
import logging
import math
import os
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .faults import ImageFault
from .unpacking import DAMAGE, open_unpacked, read_into, read_to_end

logger = logging.getLogger(__name__)

_CORNER_TOLERANCE_VOXELS = 0.5
_GZIP_SIZE = struct.Struct("<I")
_HEADER_BYTES = {348: "Nifti1Header", 540: "Nifti2Header"}
ORTHONORMAL_TOLERANCE = 1e-3


def check_header(path: Path) -> Any:
    """Check that a NIfTI header is whole and says one thing about where the image lies.

    Returns:
        nibabel's header.

    Raises:
        ImageFault: Not NIfTI, not three-dimensional, coloured, empty, neither qform nor sform, a sheared sform, or a
            qform and sform that place a corner of the image more than half a voxel apart.
    """
    with _opened(path) as file:
        header = _header_of(path, file)
    _check_shape(path, header)
    _check_forms(path, header)
    return header


def slope_and_intercept(header: Any) -> tuple[float, float]:
    """By which stored values become real ones; 1 and 0 where the header has none."""
    slope, intercept = header.get_slope_inter()
    return (1.0, 0.0) if slope is None else (float(slope), float(intercept))


def read_values(path: Path) -> NDArray[Any]:
    """The voxels of a NIfTI file that `check_header` has passed.

    Returns:
        (z, y, x) in the stored type and native byte order; float32 where there are a slope or an intercept.

    Raises:
        ImageFault: Compressed data cut off or damaged, fewer voxels than the header promises, a type that no image has.
    """
    with _opened(path) as file:
        header = _header_of(path, file)
        stored = header.get_data_dtype()
        if stored.kind not in "iuf" or stored.itemsize > 8:
            raise ImageFault(path, f"voxels of type {stored}", "integers or real numbers of up to 64 bits")
        file.seek(int(header.get_data_offset()))
        values = np.empty([int(n) for n in header.get_data_shape()[2::-1]], stored)
        read_voxels_into(path, file, values)
        read_to_end(path, file)
    return _scaled(values, *slope_and_intercept(header))


def read_voxels_into(path: Path, file: IO[bytes], values: NDArray[Any]) -> None:
    """Fill an array with the next voxels of a file from `open_unpacked`.

    Raises:
        ImageFault: Compressed data cut off or damaged, or fewer voxels than there is room for.
    """
    if read_into(path, file, values.reshape(-1).view(np.uint8).data) < values.nbytes:
        found = f"{file.tell()} bytes, fewer voxels than its header promises: the file is cut off"
        raise ImageFault(path, found, "a complete image")


def _scaled(values: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    """Real values of stored ones, in native byte order: float32, or as they are where there is nothing to scale."""
    if (slope, intercept) == (1, 0):
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    result = np.empty(values.shape, np.float32)
    for into, axial in zip(result, values, strict=True):  # a whole CT in float64 would not fit
        into[:] = axial.astype(np.float64) * slope + intercept
    return result


def check_complete(path: Path) -> None:
    """Check that a NIfTI file that was just written has reached its end.

    The end of a gzip member says how many bytes were compressed (RFC 1952): nothing has to be unpacked. Of files from
    elsewhere `read_values` looks at all bytes.

    Raises:
        ImageFault: The file is cut off.
    """
    with _opened(path) as file:
        expected = _expected_size(_header_of(path, file))
    if path.suffix == ".gz":
        with path.open("rb") as packed:
            packed.seek(-_GZIP_SIZE.size, os.SEEK_END)
            (found,) = _GZIP_SIZE.unpack(packed.read())
        expected %= 2**32
    else:
        found = path.stat().st_size
    if found != expected:
        raise ImageFault(path, "a file that is cut off", f"{expected} bytes by its header")


def check_finite(path: Path, values: NDArray[Any]) -> None:
    """Check that all voxels are finite.

    Raises:
        ImageFault: NaN or infinite voxels, with their number.
    """
    count = values.size - int(np.count_nonzero(np.isfinite(values)))
    if count:
        raise ImageFault(path, f"{count} NaN or infinite voxels", "finite values everywhere")


def _expected_size(header: Any) -> int:
    voxels = math.prod(int(n) for n in header.get_data_shape())
    return int(header.get_data_offset()) + voxels * int(header.get_data_dtype().itemsize)


def _opened(path: Path) -> IO[bytes]:
    try:
        return open_unpacked(path)
    except OSError as error:
        raise ImageFault(path, f"a file that can't be read ({error.strerror})", "a NIfTI image") from None


def _header_of(path: Path, file: IO[bytes]) -> Any:
    """NIfTI-1's or NIfTI-2's header, by its first number, in either byte order."""
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    try:
        first = file.read(4)
        sizes = {int.from_bytes(first, order) for order in ("little", "big")}
        (kind,) = (name for size, name in _HEADER_BYTES.items() if size in sizes)
        file.seek(0)
        header = getattr(nibabel, kind).from_fileobj(file)
        slope_and_intercept(header)
        header.get_data_dtype()
    except (HeaderDataError, *DAMAGE, ValueError) as error:
        logger.debug("%s: %s", path, error)
        found = "a file without a readable NIfTI header (cut off, or not NIfTI)"
        raise ImageFault(path, found, "a complete NIfTI image") from None
    return header


def _check_shape(path: Path, header: Any) -> None:
    shape = tuple(int(n) for n in header.get_data_shape())
    if header.get_data_dtype().fields is not None:
        raise ImageFault(path, "a colour image", "one number a voxel")
    if len(shape) < 3 or any(n > 1 for n in shape[3:]):
        raise ImageFault(path, f"an image of shape {_times(shape)}", "three dimensions, one number a voxel")
    if 0 in shape:
        raise ImageFault(path, f"an image of shape {_times(shape)}, which is empty", "at least one voxel")


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _check_forms(path: Path, header: Any) -> None:
    zooms = np.asarray(header.get_zooms()[:3], dtype=float)
    if not (np.isfinite(zooms).all() and (zooms > 0).all()):
        return  # the reader's check of the spacing says it better
    qform, sform = header.get_qform(coded=True)[0], header.get_sform(coded=True)[0]
    if qform is None and sform is None:
        raise ImageFault(
            path,
            "neither qform nor sform, so orientation and position are unknown",
            "one of them in the header",
        )
    if sform is not None:
        _check_orthonormal(path, sform)
    if qform is None or sform is None:
        return
    corners = _corners(tuple(int(n) for n in header.get_data_shape()[:3]))
    distance = float(np.linalg.norm(corners @ (qform - sform).T, axis=1).max())
    if not distance <= _CORNER_TOLERANCE_VOXELS * zooms.min():
        raise ImageFault(
            path,
            f"qform and sform that disagree by {distance:.3g} mm",
            "both to place the image alike; set one from the other, or its code to 0",
        )


def _check_orthonormal(path: Path, affine: NDArray[np.float64]) -> None:
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.isfinite(affine).all() and (lengths > 0).all()):
        raise ImageFault(path, "an sform with a zero or non-finite axis", "three axes in mm")
    check_direction(path, affine[:3, :3] / lengths)


def check_direction(path: Path, direction: NDArray[np.float64]) -> None:
    """Check that three axes (columns, unit length) are at right angles.

    Raises:
        ImageFault: Two of them deviate from a right angle by more than 0.06 degrees.
    """
    cosine = np.abs(direction.T @ direction - np.eye(3)).max()
    if not cosine <= ORTHONORMAL_TOLERANCE:
        raise ImageFault(
            path,
            f"sheared or scaled axes (largest deviation from orthonormal {cosine:.2g})",
            "axes at right angles; resample the image on a rectangular grid",
        )


def _corners(shape: tuple[int, ...]) -> NDArray[np.float64]:
    ends = [(0.0, n - 1.0) for n in shape]
    return np.array([(*corner, 1.0) for corner in itertools.product(*ends)])
