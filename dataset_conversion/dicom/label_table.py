"""The table of labels: which patients make the cohort, and what the cases are called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reactkd_auto.dataset_conversion.copying import safe_case
from reactkd_auto.errors import UserError
from reactkd_auto.tables import read_csv


@dataclass(frozen=True)
class LabelRow:
    """One case.

    Attributes:
        case: Its pseudonym: the table's own (column ``case``), or ``case_0001`` by the row's position.
        group: Pseudonym of the patient, ``patient_0001`` by first appearance.
        patient, study: PatientID; StudyInstanceUID or StudyDate, or empty. They are never written anywhere.
        label: Class name, or empty (ungraded).
        where: File and line, for messages.
    """

    case: str
    group: str
    patient: str
    study: str
    label: str
    where: str


def read_label_table(path: Path) -> list[LabelRow]:
    """Read a CSV with columns ``patient``, ``label`` and, where wanted, ``study`` and ``case``.

    Raises:
        UserError: No table, a missing column, an empty patient, an unsafe case name, or one case or study twice.
    """
    groups: dict[str, str] = {}
    rows = []
    for number, row in enumerate(read_csv(path, ("patient", "label")), start=1):
        where, patient = f"{path}, line {number + 1}", row["patient"]
        if not patient:
            raise UserError(f"{where}: no patient, expected a PatientID as in the DICOM files.")
        group = groups.setdefault(patient, f"patient_{len(groups) + 1:04d}")
        case = safe_case(path, row.get("case") or f"case_{number:04d}")
        rows.append(LabelRow(case, group, patient, row.get("study", ""), row["label"], where))
    _check_unique(rows)
    return rows


def class_names(path: Path, rows: list[LabelRow], wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    """Class names in the order wanted, else sorted.

    Raises:
        UserError: Fewer than two, or a label that is not among those wanted.
    """
    found = sorted({r.label for r in rows if r.label})
    classes = wanted or tuple(found)
    if len(classes) < 2:
        raise UserError(f"{path}: labels {', '.join(found) or 'none'}, expected at least two classes.")
    for row in rows:
        if row.label and row.label not in classes:
            raise UserError(f"{row.where}: unknown class {row.label!r}, expected {', '.join(classes)} or empty.")
    return classes


def _check_unique(rows: list[LabelRow]) -> None:
    cases: set[str] = set()
    studies: set[tuple[str, str]] = set()
    for row in rows:
        if row.case in cases:
            raise UserError(f"{row.where}: case {row.case!r} stands in more than one row, expected one row a case.")
        if (row.patient, row.study) in studies:
            raise UserError(f"{row.where}: a patient and study of an earlier row, expected one row for each.")
        cases.add(row.case)
        studies.add((row.patient, row.study))
