"""Whether the files of a DICOM series are the slices of one volume, and of which kind."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.uid import CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage

from .dicom_header import DicomFile, uid_name
from .faults import ImageFault

VOLUME_CLASSES: dict[str, str] = {
    CTImageStorage: "CT",
    PositronEmissionTomographyImageStorage: "PT",
    MRImageStorage: "MR",
}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
HOUNSFIELD_TYPES = ("", "HU", "US")
"""Of RescaleType; `US` is DICOM's word for unspecified (values are then judged by their plausibility)."""
ORIENTATION_TOLERANCE = 1e-3
_SAME = ("FrameOfReferenceUID", "Rows", "Columns")
_SAME_NUMBERS = {"PixelSpacing": 2, "ImageOrientationPatient": 6}


def series_name(files: Sequence[DicomFile]) -> Path:
    """What messages call a series: the folder that holds its files, or its only file."""
    paths = [str(f.path) for f in files]
    return Path(paths[0]) if len(paths) == 1 else Path(os.path.commonpath(paths))


def check_series(files: Sequence[DicomFile]) -> str:
    """Check that all files are slices of one series with one geometry.

    Returns:
        The modality: ``CT``, ``PT`` or ``MR``.

    Raises:
        ImageFault: A localiser, a secondary capture, a multi-frame object or another kind of object; several series,
            kinds, frames of reference, matrix sizes, pixel sizes or orientations; colour; the same slice twice; a CT
            whose values are not rescaled to HU.
    """
    where = series_name(files)
    series = {f.text("SeriesInstanceUID") for f in files}
    if len(series) > 1:
        kinds = ", ".join(sorted({f.code("Modality") or "?" for f in files}))
        raise ImageFault(where, f"files of {len(series)} series ({kinds})", "one series a folder")
    for file in files:
        _check_kind(file)
    classes = {f.text("SOPClassUID") for f in files}
    if len(classes) > 1:
        raise ImageFault(where, f"{len(classes)} kinds of image in one series", "one kind a series")
    if len(files) == 1:
        raise ImageFault(where, "a single slice", "the folder of a series of at least two slices")
    _check_same(where, files)
    _check_copies(where, files)
    modality = VOLUME_CLASSES[classes.pop()]
    if modality in ("CT", "PT"):
        for file in files:
            _check_rescaling(file, modality)
    return modality


def describe_refusal(file: DicomFile) -> str | None:
    """What makes a file something else than a slice of a volume, in words; None for a slice."""
    uid = file.text("SOPClassUID")
    if uid == SECONDARY_CAPTURE or uid.startswith(f"{SECONDARY_CAPTURE}."):
        return "a secondary capture (a picture of a screen or a scanned sheet)"
    name = uid_name(uid)
    if "Enhanced" in name or "Legacy Converted" in name:
        return f"a multi-frame object ({name})"
    if uid not in VOLUME_CLASSES:
        return f"no volume but {name}"
    if "LOCALIZER" in file.words("ImageType"):
        return "a localiser (scout)"
    return None


def _check_kind(file: DicomFile) -> None:
    if found := describe_refusal(file):
        raise ImageFault(file.path, found, "a slice of a CT, PET or MR series, one slice a file")
    if file.integer("SamplesPerPixel", 1) != 1 or file.integer("NumberOfFrames", 1) != 1:
        raise ImageFault(file.path, "colour or several frames in a file", "one grey slice a file")


def _check_same(where: Path, files: Sequence[DicomFile]) -> None:
    for keyword in _SAME:
        if len(values := {f.text(keyword) for f in files}) > 1:
            listed = f" ({', '.join(sorted(values)[:3])})" if keyword in ("Rows", "Columns") else ""
            raise ImageFault(where, f"slices of {len(values)} different {keyword}{listed}", "one volume a series")
    for keyword, count in _SAME_NUMBERS.items():
        numbers = np.array([f.numbers(keyword, count) for f in files])
        if np.abs(numbers - numbers[0]).max() > ORIENTATION_TOLERANCE:
            raise ImageFault(where, f"slices of different {keyword}", "one volume a series")


def _check_copies(where: Path, files: Sequence[DicomFile]) -> None:
    seen: dict[str, DicomFile] = {}
    for file in files:
        uid = file.text("SOPInstanceUID")
        if uid in seen:
            raise ImageFault(
                where, f"duplicated slices: {seen[uid].path.name} and {file.path.name} are one", "each slice once"
            )
        seen[uid] = file


def _check_rescaling(file: DicomFile, modality: str) -> None:
    file.numbers("RescaleSlope", 1)
    file.numbers("RescaleIntercept", 1)
    if modality == "CT" and file.code("RescaleType") not in HOUNSFIELD_TYPES:
        raise ImageFault(file.path, f"CT values of type {file.code('RescaleType')!r}", "Hounsfield units (HU)")
