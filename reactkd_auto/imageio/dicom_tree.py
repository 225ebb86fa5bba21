"""What lies in a tree of DICOM files: its series, by one look at every header."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from reactkd_auto.progress import track

from .dicom_files import walk_dicom
from .dicom_header import DicomFile, read_header
from .dicom_series import VOLUME_CLASSES, describe_refusal
from .faults import ImageFault

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
    """What lies in a tree.

    Attributes:
        series: All volumes, structure sets and segmentations.
        passed_over: What else a patient has (localisers, secondary captures, multi-frame objects …), by PatientID.
        damaged: A file that can't be read, by folder: whose it is can't be told.
    """

    series: list[Series]
    passed_over: dict[str, set[str]]
    damaged: dict[Path, ImageFault]

    def check_damage(self, *series: Series) -> None:
        """Check that no file that can't be read lies among those of the series: it may be one of their slices.

        Raises:
            ImageFault: One does.
        """
        folders = {p.parent for s in series for p in s.files}
        for folder in sorted(folders):
            if fault := self.damaged.get(folder):
                raise ImageFault(Path(fault.problem.file), fault.problem.found, fault.problem.expected)


def scan_tree(root: Path, *, exclude: Collection[Path] = (), quiet: bool = False) -> Tree:
    """Look at every DICOM file of a tree, in any nesting, but for excluded folders."""
    paths = list(walk_dicom(root, exclude=exclude))
    found: dict[tuple[str, ...], Series] = {}
    tree = Tree([], {}, {})
    for path in track(paths, what="looking through DICOM files", total=len(paths), quiet=quiet):
        try:
            file = read_header(path, _TAGS)
            kind = _kind(file, tree)
            key = _key(file, kind or "")
            if kind and key not in found:
                found[key] = _describe(file, kind)
        except ImageFault as fault:
            tree.damaged.setdefault(path.parent, fault)
        else:
            if kind:
                found[key].files.append(path)
    tree.series.extend(found.values())
    return tree


def _kind(file: DicomFile, tree: Tree) -> str | None:
    uid = file.text("SOPClassUID")
    if uid in STRUCTURE_CLASSES:
        return STRUCTURE_CLASSES[uid]
    if refusal := describe_refusal(file):
        tree.passed_over.setdefault(file.text("PatientID"), set()).add(refusal)
        return None
    return VOLUME_CLASSES[uid]


def _key(file: DicomFile, kind: str) -> tuple[str, ...]:
    """Slices of a series belong together wherever they lie; of structure sets each file is one."""
    patient, series = file.text("PatientID"), file.text("SeriesInstanceUID")
    return (patient, series, str(file.path) if kind in STRUCTURE_CLASSES.values() else "")


def _describe(file: DicomFile, kind: str) -> Series:
    tracers = [i.text("Radiopharmaceutical") for i in file.items("RadiopharmaceuticalInformationSequence")]
    references = file.items("ReferencedFrameOfReferenceSequence")
    frames = {file.text("FrameOfReferenceUID"), *(r.text("FrameOfReferenceUID") for r in references)}
    return Series(
        kind=kind,
        patient=file.text("PatientID"),
        study=file.text("StudyInstanceUID"),
        date=file.text("StudyDate"),
        uid=file.text("SeriesInstanceUID"),
        frames=frozenset(frames - {""}),
        texts=frozenset((file.text("SeriesDescription"), file.text("SeriesNumber"), *tracers)),
        number=file.code("SeriesNumber") or "without number",
        corrected="ATTN" in file.words("CorrectedImage"),
        refers_to=_referred_series(file),
    )


def _referred_series(file: DicomFile) -> frozenset[str]:
    items = file.items("ReferencedSeriesSequence")
    for frame in file.items("ReferencedFrameOfReferenceSequence"):
        for study in frame.items("RTReferencedStudySequence"):
            items += study.items("RTReferencedSeriesSequence")
    return frozenset(i.text("SeriesInstanceUID") for i in items)
