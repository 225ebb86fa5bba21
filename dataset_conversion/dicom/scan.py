"""What lies in a tree of DICOM files: its series, by one look at every header."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydicom.config import disable_value_validation

from reactkd_auto.imageio import ImageFault
from reactkd_auto.imageio.dicom_files import DicomFile, read_header, walk_dicom
from reactkd_auto.imageio.dicom_series import VOLUME_CLASSES, describe_refusal
from reactkd_auto.progress import track

STRUCTURE_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.66.7": "SEG",
}
_TAGS = (
    "SOPClassUID",
    "PatientID",
    "StudyInstanceUID",
    "StudyDate",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "FrameOfReferenceUID",
    "ImageType",
    "CorrectedImage",
    "RadiopharmaceuticalInformationSequence",
    "ReferencedFrameOfReferenceSequence",
    "ReferencedSeriesSequence",
)


@dataclass
class Series:
    """The slices of one series, or one structure set or segmentation.

    Attributes:
        kind: ``CT``, ``PT``, ``MR``, ``RTSTRUCT`` or ``SEG``.
        patient, study, date: PatientID, StudyInstanceUID, StudyDate.
        uid: Of the series.
        frames: Frames of reference: of a series one, of a structure set perhaps several.
        texts: What the patterns of options are matched with: description, number, tracer.
        number: Of the series, for messages.
        corrected: Whether a PET is attenuation-corrected.
        refers_to: Series on which structures were drawn.
        files: Its files.
    """

    kind: str
    patient: str
    study: str
    date: str
    uid: str
    frames: frozenset[str]
    texts: frozenset[str]
    number: str
    corrected: bool
    refers_to: frozenset[str]
    files: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Tree:
    """All series of a tree, and the folders with files that can't be read: what belongs to them can't be told."""

    series: list[Series]
    damaged: dict[Path, ImageFault]


@disable_value_validation()  # its warnings quote header values, which may be a patient's
def scan_tree(root: Path, *, quiet: bool = False) -> Tree:
    """Look at every DICOM file of a tree, in any nesting; what is neither volume nor structures is passed over.

    Localisers, secondary captures and multi-frame objects are passed over here: a study is full of them.
    """
    paths = list(walk_dicom(root))
    found: dict[tuple[str, ...], Series] = {}
    damaged: dict[Path, ImageFault] = {}
    for path in track(paths, what="looking through DICOM files", total=len(paths), quiet=quiet):
        try:
            file = read_header(path, _TAGS)
        except ImageFault as fault:
            damaged.setdefault(path.parent, fault)
            continue
        if kind := _kind(file):
            key = _key(file, kind)
            found.setdefault(key, _describe(file, kind)).files.append(path)
    return Tree(list(found.values()), damaged)


def _kind(file: DicomFile) -> str | None:
    uid = file.text("SOPClassUID")
    if uid in STRUCTURE_CLASSES:
        return STRUCTURE_CLASSES[uid]
    return VOLUME_CLASSES[uid] if describe_refusal(file) is None else None  # type: ignore[index]


def _key(file: DicomFile, kind: str) -> tuple[str, ...]:
    """Slices of a series belong together wherever they lie; of structure sets each file is one."""
    patient, series = file.text("PatientID"), file.text("SeriesInstanceUID")
    return (patient, series, str(file.path) if kind in STRUCTURE_CLASSES.values() else "")


def _describe(file: DicomFile, kind: str) -> Series:
    tracers = [
        str(i.get("Radiopharmaceutical", "")) for i in file.header.get("RadiopharmaceuticalInformationSequence") or []
    ]
    number = file.text("SeriesNumber")
    texts = {file.text("SeriesDescription"), number, *tracers}
    references = file.header.get("ReferencedFrameOfReferenceSequence") or []
    frames = {file.text("FrameOfReferenceUID"), *(str(r.get("FrameOfReferenceUID", "")) for r in references)}
    return Series(
        kind=kind,
        patient=file.text("PatientID"),
        study=file.text("StudyInstanceUID"),
        date=file.text("StudyDate"),
        uid=file.text("SeriesInstanceUID"),
        frames=frozenset(frames - {""}),
        texts=frozenset(texts),
        number=number or "without number",
        corrected="ATTN" in file.words("CorrectedImage"),
        refers_to=_referred_series(file),
    )


def _referred_series(file: DicomFile) -> frozenset[str]:
    items = list(file.header.get("ReferencedSeriesSequence") or [])
    for frame in file.header.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            items += study.get("RTReferencedSeriesSequence") or []
    return frozenset(str(i.SeriesInstanceUID) for i in items if "SeriesInstanceUID" in i)
