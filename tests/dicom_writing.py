"""Small DICOM series that tests write: clean ones, to be spoilt one fault at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

NAME = "SECRET^NAME"
BIRTH_DATE = "19440404"
CLASSES = {"CT": CTImageStorage, "PT": PositronEmissionTomographyImageStorage, "MR": MRImageStorage}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
HALF_LIFE_S = 6000.0
DOSE_BQ = 200e6
WEIGHT_KG = 80.0


def uid(*parts: object) -> str:
    """The same identifier for the same words."""
    return generate_uid(entropy_srcs=[str(p) for p in parts])


def hounsfield(count: int = 6, shape: tuple[int, int] = (8, 10), seed: int = 0) -> np.ndarray:
    """Body of noise with air round it, (slices, rows, columns)."""
    values = np.random.default_rng(seed).normal(40, 20, (count, *shape)).round()
    values[:, :2] = -1000
    return values


def activity(count: int = 6, shape: tuple[int, int] = (8, 10), seed: int = 1) -> np.ndarray:
    """Bq/ml."""
    return np.random.default_rng(seed).uniform(1e3, 2e4, (count, *shape))


def make_series(
    values: np.ndarray,
    modality: str = "CT",
    *,
    patient: str = "P1",
    study: str = "study",
    series: str = "series",
    frame: str = "frame",
    spacing: tuple[float, float, float] = (3.0, 2.0, 1.5),
    origin: tuple[float, float, float] = (-10.0, -20.0, 30.0),
    orientation: Sequence[float] = AXIAL,
    **changes: Any,
) -> list[FileDataset]:
    """Slices of ``values`` (slice, row, column), spacing likewise; PET slices have each their own slope."""
    normal = np.cross(orientation[:3], orientation[3:])
    key = (patient, study, series)
    slices = []
    for index, plane in enumerate(values):
        made = _blank(uid(*key, "instance", index), CLASSES[modality])
        made.PatientID, made.PatientName, made.PatientBirthDate = patient, NAME, BIRTH_DATE
        made.StudyInstanceUID, made.SeriesInstanceUID = uid(patient, study), uid(*key)
        made.FrameOfReferenceUID = uid(patient, frame)
        made.Modality, made.SeriesDescription, made.SeriesNumber = modality, series, 1
        made.StudyDate = made.SeriesDate = made.AcquisitionDate = "20010203"
        made.SeriesTime = made.AcquisitionTime = "120000"
        made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        made.InstanceNumber = index + 1
        made.ImagePositionPatient = [float(f"{v:.9g}") for v in np.add(origin, index * spacing[0] * normal)]
        made.ImageOrientationPatient = [float(f"{v:.9g}") for v in orientation]
        made.PixelSpacing = [spacing[1], spacing[2]]
        _store(made, plane, modality)
        if modality == "PT":
            _inject(made)
        for keyword, value in changes.items():
            setattr(made, keyword, value)
        slices.append(made)
    return slices


def _blank(instance: str, kind: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = kind, instance
    return made


def _store(made: Dataset, plane: np.ndarray, modality: str) -> None:
    slope = float(plane.max()) / 30000 if modality == "PT" else 1.0
    slope = float(f"{slope:.10g}")
    intercept = -1024.0 if modality == "CT" else 0.0
    made.Rows, made.Columns = plane.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.RescaleSlope, made.RescaleIntercept = slope, intercept
    made.PixelData = np.round((plane - intercept) / slope).astype("<i2").tobytes()


def _inject(made: Dataset) -> None:
    """Injected one half-life before the scan began."""
    made.Units, made.DecayCorrection = "BQML", "START"
    made.CorrectedImage = ["DECY", "ATTN", "SCAT", "NORM"]
    made.PatientWeight = WEIGHT_KG
    item = Dataset()
    item.Radiopharmaceutical = "FDG"
    item.RadionuclideTotalDose, item.RadionuclideHalfLife = DOSE_BQ, HALF_LIFE_S
    item.RadiopharmaceuticalStartTime = "102000"
    made.RadiopharmaceuticalInformationSequence = [item]


def write_series(folder: Path, slices: Sequence[FileDataset], *, order: Sequence[int] | None = None) -> Path:
    """One file a slice; ``order`` shuffles their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, made in zip(order or range(len(slices)), slices, strict=True):
        made.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)
    return folder
