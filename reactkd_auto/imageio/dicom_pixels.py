"""Pixels of DICOM slices, decoded and rescaled by GDCM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import uid

from .dicom_header import DicomFile, uid_name
from .faults import ImageFault

AIR_HU = -1000.0
READABLE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
)


def read_pixels(files: Sequence[DicomFile]) -> NDArray[np.float32]:
    """Stack slices (slice, row, column) of rescaled values: each slice's own slope and intercept.

    Raises:
        ImageFault: A compression that GDCM does not know, or pixels that can't be decoded.
    """
    rows, columns = files[0].integer("Rows"), files[0].integer("Columns")
    stack = np.empty((len(files), rows, columns), np.float32)
    for target, file in zip(stack, files, strict=True):
        target[:] = _read_slice(file, (rows, columns))
    return stack


def fill_padding(stack: NDArray[np.float32], files: Sequence[DicomFile]) -> None:
    """Set a CT's padding (outside the reconstructed circle, below any HU, often −3024) to air, in place."""
    for plane, file in zip(stack, files, strict=True):
        padding = file.value("PixelPaddingValue")
        if isinstance(padding, int):
            value = padding * file.numbers("RescaleSlope", 1)[0] + file.numbers("RescaleIntercept", 1)[0]
            if value < AIR_HU:
                plane[plane == np.float32(value)] = AIR_HU


def _read_slice(file: DicomFile, shape: tuple[int, int]) -> NDArray[np.float32]:
    syntax = file.header.file_meta.TransferSyntaxUID
    if syntax not in READABLE:
        expected = "uncompressed, RLE, JPEG, JPEG-LS or JPEG 2000 pixels; convert the file"
        raise ImageFault(file.path, f"pixels compressed as {uid_name(syntax)}", expected)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file.path))
    reader.SetImageIO("GDCMImageIO")
    reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        values: NDArray[np.float32] = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError:
        found = f"pixels ({uid_name(syntax)}) that are cut off, damaged or can't be decoded"
        raise ImageFault(file.path, found, "a complete DICOM slice; copy it again") from None
    if values.size != shape[0] * shape[1]:
        raise ImageFault(file.path, f"pixels of shape {values.shape}", f"{shape[0]} rows and {shape[1]} columns")
    return values.reshape(shape)
