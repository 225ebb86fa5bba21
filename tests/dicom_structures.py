"""Structure sets and segmentations that tests write for a series."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels import pack_bits
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, SegmentationStorage

from tests.dicom_writing import BIRTH_DATE, NAME, uid


def _object(kind: str, modality: str, base: FileDataset, series: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = kind, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = uid(base.PatientID, series, "instance")
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    made.PatientID, made.PatientName, made.PatientBirthDate = base.PatientID, NAME, BIRTH_DATE
    made.StudyInstanceUID, made.StudyDate = base.StudyInstanceUID, base.StudyDate
    made.SeriesInstanceUID, made.SeriesNumber = uid(base.PatientID, series), 9
    made.Modality, made.SeriesDescription = modality, series
    return made


def _item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def write_structures(
    path: Path,
    base: FileDataset,
    contours: Mapping[str, Sequence[np.ndarray]],
    *,
    series: str = "structures",
    frames: Mapping[str, str] | None = None,
    refers: bool = True,
) -> Path:
    """An RTSTRUCT of closed contours, each (n, 3) in mm, by name; ``frames`` places some in another frame."""
    made = _object(RTStructureSetStorage, "RTSTRUCT", base, series)
    frame = base.FrameOfReferenceUID
    reference = _item(FrameOfReferenceUID=frame)
    if refers:
        study = _item(RTReferencedSeriesSequence=[_item(SeriesInstanceUID=base.SeriesInstanceUID)])
        reference.RTReferencedStudySequence = [study]
    made.ReferencedFrameOfReferenceSequence = [reference]
    places = {**dict.fromkeys(contours, frame), **(frames or {})}
    made.StructureSetROISequence = [
        _item(ROINumber=i, ROIName=name, ReferencedFrameOfReferenceUID=places[name])
        for i, name in enumerate(contours, start=1)
    ]
    made.ROIContourSequence = [
        _item(ReferencedROINumber=i, ContourSequence=[_contour(points) for points in drawn])
        for i, drawn in enumerate(contours.values(), start=1)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def _contour(points: np.ndarray) -> Dataset:
    return _item(
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=len(points),
        ContourData=[f"{v:.6f}" for v in points.ravel()],
    )


def write_segmentation(
    path: Path,
    base: Sequence[FileDataset],
    masks: Mapping[str, np.ndarray],
    *,
    series: str = "segmentation",
    flipped: bool = False,
    fractional: bool = False,
) -> Path:
    """A SEG of masks (slice, row, column) on the slices of ``base``; ``flipped``: rows and columns run backwards."""
    made = _object(SegmentationStorage, "SEG", base[0], series)
    made.FrameOfReferenceUID = base[0].FrameOfReferenceUID
    made.ReferencedSeriesSequence = [_item(SeriesInstanceUID=base[0].SeriesInstanceUID)]
    made.SegmentationType = "FRACTIONAL" if fractional else "BINARY"
    made.SegmentSequence = [_item(SegmentNumber=i, SegmentLabel=n) for i, n in enumerate(masks, start=1)]
    orientation = np.array(base[0].ImageOrientationPatient, float)
    spacing = np.array(base[0].PixelSpacing, float)
    measures = _item(PixelSpacing=list(base[0].PixelSpacing), SliceThickness=1)
    direction = _item(ImageOrientationPatient=(-orientation if flipped else orientation).tolist())
    made.SharedFunctionalGroupsSequence = [
        _item(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[direction])
    ]
    frames, groups = [], []
    for number, mask in enumerate(masks.values(), start=1):
        for index in reversed(np.flatnonzero(mask.any(axis=(1, 2)))):
            position = np.array(base[index].ImagePositionPatient, float)
            plane = mask[index]
            if flipped:
                rows, columns = plane.shape
                position += orientation[:3] * spacing[1] * (columns - 1) + orientation[3:] * spacing[0] * (rows - 1)
                plane = plane[::-1, ::-1]
            frames.append(plane)
            groups.append(
                _item(
                    SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=number)],
                    PlanePositionSequence=[_item(ImagePositionPatient=position.tolist())],
                )
            )
    made.PerFrameFunctionalGroupsSequence = groups
    stack = np.array(frames, dtype=np.uint8)
    made.NumberOfFrames, made.Rows, made.Columns = stack.shape
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    bits = 8 if fractional else 1
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    if fractional:
        made.MaximumFractionalValue = 200
        made.PixelData = np.where(stack, 110, 90).astype(np.uint8).tobytes()
    else:
        made.PixelData = pack_bits(stack.ravel(), pad=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path
