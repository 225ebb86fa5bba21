"""Check a whole raw dataset in one run and list everything that is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reactkd_auto.dataset import Dataset, LabelledCase, read_dataset
from reactkd_auto.dataset_conversion.label_tables import check_labels
from reactkd_auto.dataset_conversion.verify_files import (
    check_orphans,
    check_rows_have_files,
    check_sidecars,
    left_handed,
)
from reactkd_auto.dataset_conversion.verify_parts import (
    TEST,
    TRAINING,
    Part,
    check_both_parts,
    check_identical,
    check_spelling,
)
from reactkd_auto.dataset_conversion.verify_sessions import check_session_folders
from reactkd_auto.errors import UserError
from reactkd_auto.progress import track
from reactkd_auto.verification import Problem, inspect_case, list_cases

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
    test = _check_part(folder, dataset, TEST, quiet=quiet) if (folder / TEST[0]).is_dir() else Part([], [], [])
    problems = [*training.problems, *_check_classes(folder, dataset, training), *test.problems]
    problems += _check_channels(dataset, training)
    problems += [*check_both_parts(folder, training, test), *check_spelling(folder, training, test)]
    problems += check_identical(folder, dataset, training.reports, test.reports)
    return Verification(
        tuple(Problem(_relative(p.file, folder), p.found, p.expected) for p in problems),
        tuple(_summary(folder, dataset, training, test)),
    )


def _document_problem(folder: Path, error: UserError) -> Problem:
    message = str(error).removeprefix(f"{folder / 'dataset.json'}: ").rstrip(".")
    return Problem("dataset.json", message, "the description of a raw dataset")


def _relative(file: str, folder: Path) -> str:
    return file.removeprefix(f"{folder}/")


def _check_part(folder: Path, dataset: Dataset, names: tuple[str, str, str], *, quiet: bool) -> Part:
    images, regions, table = names
    rows: list[LabelledCase] = []
    problems: list[Problem] = []
    if names == TRAINING or (folder / table).exists():
        rows, problems = check_labels(folder / table, dataset, training=names == TRAINING)
    with_files = list_cases(folder, dataset, images=images)
    if not with_files:
        problems.append(Problem(images, "no base images", f"files named CASE_0000{dataset.file_ending}"))
    elif (folder / table).exists():
        problems += check_rows_have_files(folder, dataset, names, rows, with_files)
    problems += check_orphans(folder, dataset, names, with_files)
    problems += check_sidecars(folder, names, with_files)
    problems += check_session_folders(folder, dataset, images, with_files)
    reports = [
        inspect_case(folder, dataset, case, images=images, regions=regions)
        for case in track(with_files, what=f"reading {images}", total=len(with_files), quiet=quiet)
    ]
    problems += [p for r in reports for p in r.problems]
    return Part(rows, reports, problems)


def _check_classes(folder: Path, dataset: Dataset, training: Part) -> Iterable[Problem]:
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


def _check_channels(dataset: Dataset, training: Part) -> Iterable[Problem]:
    for index in dataset.privileged if training.reports else ():
        if not any(index in r.channels for r in training.reports):
            found = f"channel {dataset.channels[index].name} in no case"
            yield Problem(TRAINING[0], found, f"files CASE_{index:04d}{dataset.file_ending}, or no such channel")


def _summary(folder: Path, dataset: Dataset, training: Part, test: Part) -> Iterable[str]:
    for name, part, (images, _, _) in (("training", training, TRAINING), ("test", test, TEST)):
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
        if turned := left_handed(folder, dataset, images, part.reports):
            yield f"{name}: {len(turned)} images with left-handed axes, turned on reading, for instance {turned[0]}"
