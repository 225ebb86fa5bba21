"""Check a whole raw dataset in one run and list everything that is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reactkd_auto.dataset import Dataset, LabelledCase, channel_path, read_dataset
from reactkd_auto.dataset_conversion.label_tables import check_labels
from reactkd_auto.errors import UserError
from reactkd_auto.progress import track
from reactkd_auto.verification import CaseReport, Problem, inspect_case, list_cases

TRAINING = ("imagesTr", "regionsTr", "labelsTr.csv")
TEST = ("imagesTs", "regionsTs", "labelsTs.csv")
FEWEST_PATIENTS = 2


@dataclass(frozen=True)
class Verification:
    """What a check found.

    Attributes:
        problems: Everything wrong, file paths relative to the dataset folder; empty for a clean dataset.
        summary: Sentences about what is there, missing channels and region maps included (they are no problem).
    """

    problems: tuple[Problem, ...]
    summary: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """Training or test part: its rows, the cases with files, what their files hold, and what is wrong."""

    rows: list[LabelledCase]
    reports: list[CaseReport]
    problems: list[Problem]


def verify_dataset(folder: Path, *, quiet: bool = True) -> list[Problem]:
    """All problems of a raw dataset folder; an empty list means that it is clean."""
    return list(check_dataset(folder, quiet=quiet).problems)


def check_dataset(folder: Path, *, quiet: bool = True) -> Verification:
    """Check documents, labels, files and every image of a raw dataset folder.

    A fault never ends the check, except of ``dataset.json``, without which the rest cannot be judged.
    """
    folder = Path(folder)
    try:
        dataset = read_dataset(folder)
    except UserError as error:
        return Verification((_document_problem(folder, error),), ())
    training = _check_part(folder, dataset, TRAINING, quiet=quiet)
    test = _check_part(folder, dataset, TEST, quiet=quiet) if (folder / TEST[0]).is_dir() else _Part([], [], [])
    problems = [*training.problems, *_check_classes(folder, dataset, training), *test.problems]
    problems += _check_both_parts(folder, training, test)
    problems += _check_identical(folder, dataset, training.reports, test.reports)
    return Verification(
        tuple(Problem(_relative(p.file, folder), p.found, p.expected) for p in problems),
        tuple(_summary(dataset, training, test)),
    )


def _document_problem(folder: Path, error: UserError) -> Problem:
    message = str(error).removeprefix(f"{folder / 'dataset.json'}: ").rstrip(".")
    return Problem("dataset.json", message, "the description of a raw dataset")


def _relative(file: str, folder: Path) -> str:
    return file.removeprefix(f"{folder}/")


def _check_part(folder: Path, dataset: Dataset, names: tuple[str, str, str], *, quiet: bool) -> _Part:
    images, regions, table = names
    rows: list[LabelledCase] = []
    problems: list[Problem] = []
    if names == TRAINING or (folder / table).exists():
        rows, problems = check_labels(folder / table, dataset)
    with_files = list_cases(folder, dataset, images=images)
    if not with_files:
        problems.append(Problem(images, "no base images", f"files named CASE_0000{dataset.file_ending}"))
    elif (folder / table).exists():
        problems += _check_rows_have_files(folder, dataset, names, rows, with_files)
    problems += _check_orphans(folder, dataset, names, with_files)
    reports = [
        inspect_case(folder, dataset, case, images=images, regions=regions)
        for case in track(with_files, what=f"reading {images}", total=len(with_files), quiet=quiet)
    ]
    problems += [p for r in reports for p in r.problems]
    return _Part(rows, reports, problems)


def _check_rows_have_files(
    folder: Path, dataset: Dataset, names: tuple[str, str, str], rows: list[LabelledCase], with_files: list[str]
) -> Iterable[Problem]:
    images, _, table = names
    in_table = {r.case for r in rows}
    for case in sorted(in_table - set(with_files)):
        path = channel_path(folder / images, case, 0, dataset.file_ending)
        yield Problem(str(path), "no such file", f"the base image of case {case!r} in {table}")
    for case in sorted(set(with_files) - in_table):
        path = channel_path(folder / images, case, 0, dataset.file_ending)
        yield Problem(str(path), f"an image without a row in {table}", "a row (the label may be empty)")


def _check_orphans(
    folder: Path, dataset: Dataset, names: tuple[str, str, str], with_files: list[str]
) -> Iterable[Problem]:
    images, regions, _ = names
    ending = dataset.file_ending
    known = {f"{c}_{i:04d}{ending}" for c in with_files for i in range(len(dataset.channels))}
    for path in _files(folder / images):
        if path.name not in known:
            expected = f"CASE_NNNN{ending} of a case with a base image, NNNN ≤ {len(dataset.channels) - 1:04d}"
            yield Problem(str(path), "a file that belongs to no case and channel", expected)
    known = {f"{c}{ending}" for c in with_files}
    for path in _files(folder / regions):
        if path.name not in known:
            yield Problem(str(path), "a region map without images", f"CASE{ending} of a case in {images}")


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []


def _check_classes(folder: Path, dataset: Dataset, training: _Part) -> Iterable[Problem]:
    if all(r.label is None for r in training.rows):  # no rows, or a cohort that is ungraded on purpose
        return
    for index, name in enumerate(dataset.classes):
        patients = {r.patient for r in training.rows if r.label == index}
        if len(patients) < FEWEST_PATIENTS:
            yield Problem(
                str(folder / TRAINING[2]),
                f"{len(patients)} patients of class {name!r}",
                f"at least {FEWEST_PATIENTS}, to train on one and test on another",
            )


def _check_both_parts(folder: Path, training: _Part, test: _Part) -> Iterable[Problem]:
    shared = {r.patient for r in training.rows} & {r.patient for r in test.rows}
    for patient in sorted(shared):
        yield Problem(str(folder / TEST[2]), f"patient {patient!r} of {TRAINING[2]}", "a patient in one part only")
    for case in sorted({r.case for r in training.reports} & {r.case for r in test.reports}):
        yield Problem(str(folder / TEST[0]), f"case {case!r}, also in {TRAINING[0]}", "a case in one part only")


def _check_identical(
    folder: Path, dataset: Dataset, training: list[CaseReport], test: list[CaseReport]
) -> Iterable[Problem]:
    first: dict[str, Path] = {}
    for images, reports in ((TRAINING[0], training), (TEST[0], test)):
        for report in reports:
            if report.base_hash is None:
                continue
            path = channel_path(folder / images, report.case, 0, dataset.file_ending)
            if report.base_hash in first:
                found = f"the same voxels as {_relative(str(first[report.base_hash]), folder)}"
                yield Problem(str(path), found, "another image for another case")
            else:
                first[report.base_hash] = path


def _summary(dataset: Dataset, training: _Part, test: _Part) -> Iterable[str]:
    for name, part in (("training", training), ("test", test)):
        if not part.reports:
            continue
        labels = Counter(r.label for r in part.rows)
        classes = ", ".join(f"{labels[i]} {c}" for i, c in enumerate(dataset.classes))
        patients = len({r.patient for r in part.rows})
        yield f"{name}: {len(part.reports)} cases, {patients} patients; {classes}, {labels[None]} ungraded"
        for index in range(1, len(dataset.channels)):
            present = sum(index in r.channels for r in part.reports)
            yield f"{name}: channel {dataset.channels[index].name} in {present} of {len(part.reports)} cases"
        present = sum(r.has_regions for r in part.reports)
        yield f"{name}: region maps in {present} of {len(part.reports)} cases"
