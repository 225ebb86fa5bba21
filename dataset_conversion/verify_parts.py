"""Checks across cases and parts: what stands in training and test, and images with the same voxels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reactkd_auto.dataset import Dataset, LabelledCase, channel_path
from reactkd_auto.verification import CaseReport, Problem

TRAINING = ("imagesTr", "regionsTr", "labelsTr.csv")
TEST = ("imagesTs", "regionsTs", "labelsTs.csv")


@dataclass(frozen=True)
class Part:
    """Training or test part: its rows, the cases with files, what their files hold, and what is wrong."""

    rows: list[LabelledCase]
    reports: list[CaseReport]
    problems: list[Problem]


def check_both_parts(folder: Path, training: Part, test: Part) -> Iterable[Problem]:
    """A patient, or a case by its name, in one part only."""
    shared = {r.patient for r in training.rows} & {r.patient for r in test.rows}
    for patient in sorted(shared):
        yield Problem(str(folder / TEST[2]), f"patient {patient!r} of {TRAINING[2]}", "a patient in one part only")
    for case in sorted({r.case for r in training.reports} & {r.case for r in test.reports}):
        yield Problem(str(folder / TEST[0]), f"case {case!r}, also in {TRAINING[0]}", "a case in one part only")


def check_spelling(folder: Path, training: Part, test: Part) -> Iterable[Problem]:
    """Patients that differ in capitals only would be taken for two, and stand on both sides of a fold."""
    spelt: dict[str, str] = {}
    for table, part in ((TRAINING[2], training), (TEST[2], test)):
        for row in part.rows:
            first = spelt.setdefault(row.patient.casefold(), row.patient)
            if first != row.patient:
                found = f"patient {row.patient!r}, elsewhere spelt {first!r}"
                yield Problem(str(folder / table), found, "one spelling for one patient")


def check_identical(
    folder: Path, dataset: Dataset, training: list[CaseReport], test: list[CaseReport]
) -> Iterable[Problem]:
    """Two images of any case, channel or part with the same voxels: a copy under another name, or a mistake.

    Shapes (binary masks) are not compared: two of them may be alike.
    """
    first: dict[str, str] = {}
    for images, reports in ((TRAINING[0], training), (TEST[0], test)):
        for report in reports:
            for channel, voxels in sorted(report.voxel_hashes.items()):
                if dataset.channels[channel].role == "binary_mask":
                    continue
                path = channel_path(folder / images, report.case, channel, dataset.file_ending)
                if voxels in first:
                    found = f"the same voxels as {first[voxels]}"
                    yield Problem(str(path), found, "another image for another case or channel")
                first.setdefault(voxels, f"{images}/{path.name}")
