"""Checks of a NIfTI file that ITK does not make: cut-off data, NaN, two geometries that contradict each other."""

from __future__ import annotations

import gzip
import itertools
import logging
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .faults import ImageFault

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_CORNER_TOLERANCE_VOXELS = 0.5
_GZIP_SIZE = struct.Struct("<I")
_DAMAGE = (EOFError, OSError, zlib.error)
ORTHONORMAL_TOLERANCE = 1e-3


def check_header(path: Path) -> Any:
    """Check that a NIfTI header is whole and says one thing about where the image lies.

    Returns:
        nibabel's image, whose voxels are not read yet.

    Raises:
        ImageFault: Not NIfTI, not three-dimensional, coloured, empty, neither qform nor sform, a sheared sform, or a
            qform and sform that place a corner of the image more than half a voxel apart.
    """
    image = _open(path)
    _check_shape(path, image.header)
    _check_forms(path, image.header)
    return image


def check_voxels(path: Path) -> None:
    """Check that a NIfTI file's voxels are all there and finite.

    Raises:
        ImageFault: Compressed data cut off or damaged, fewer voxels than the header promises, NaN, or infinite voxels
            (which ITK reads as 0, silently).
    """
    image = _open(path)
    if image.header.get_data_dtype().kind == "f":
        check_finite(path, _stored_values(path, image))
    else:
        _check_size(path, image)


def check_complete(path: Path) -> None:
    """Check that a NIfTI file that was just written has reached its end.

    The end of a gzip member says how many bytes were compressed (RFC 1952): nothing has to be unpacked. For files from
    elsewhere `check_voxels` looks at all of them.

    Raises:
        ImageFault: The file is cut off.
    """
    expected = _expected_bytes(_open(path))
    if path.suffix == ".gz":
        with path.open("rb") as file:
            file.seek(-_GZIP_SIZE.size, os.SEEK_END)
            (found,) = _GZIP_SIZE.unpack(file.read())
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


def _check_size(path: Path, image: Any) -> None:
    expected, found = _expected_bytes(image), _size_in_bytes(path)
    if found < expected:
        raise ImageFault(path, f"{found} bytes: the file is cut off", f"{expected} bytes by its header")


def _expected_bytes(image: Any) -> int:
    voxels = int(np.prod([int(n) for n in image.shape], dtype=np.int64))
    return int(image.dataobj.offset) + voxels * image.header.get_data_dtype().itemsize


def _size_in_bytes(path: Path) -> int:
    if path.suffix != ".gz":
        return path.stat().st_size
    size = 0
    try:
        with gzip.open(path, "rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                size += len(chunk)
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    return size


def _stored_values(path: Path, image: Any) -> NDArray[Any]:
    try:
        values: NDArray[Any] = np.asanyarray(image.dataobj.get_unscaled())
    except (*_DAMAGE, ValueError) as error:
        raise _damaged(path, error) from None
    return values


def _damaged(path: Path, error: Exception) -> ImageFault:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ImageFault(path, f"cut-off or damaged data ({reason})", "a complete image; copy it again")


def _open(path: Path) -> Any:
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        return nibabel.load(str(path))
    except (ImageFileError, HeaderDataError, *_DAMAGE, ValueError) as error:
        logger.debug("%s: %s", path, error)
        found = "a file without a readable NIfTI header (cut off, or not NIfTI)"
        raise ImageFault(path, found, "a complete NIfTI image") from None


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
