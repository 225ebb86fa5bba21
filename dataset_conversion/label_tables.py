"""Every fault of a label table at once (`reactkd_auto.dataset.read_labels` stops at the first)."""

from __future__ import annotations

from pathlib import Path

from reactkd_auto.covariates import parse_value
from reactkd_auto.dataset import Dataset, LabelledCase, check_safe_name
from reactkd_auto.tables import TableFault, read_csv
from reactkd_auto.verification import Problem


def check_labels(path: Path, dataset: Dataset, *, training: bool) -> tuple[list[LabelledCase], list[Problem]]:
    """Read a label table as far as it can be read.

    Args:
        path: The table.
        dataset: For classes and covariates.
        training: Whether covariates must have their columns; in a test part they may be missing altogether.

    Returns:
        The rows without a fault (the first of duplicates), and all faults: one of the whole table as
        `reactkd_auto.tables.read_csv` tells it, an unsafe or duplicate case, an unknown class, a covariate that is no
        number or unknown category.
    """
    covariates = [c.name for c in dataset.covariates if training]
    try:
        rows = read_csv(path, ["case", "label", *covariates])
    except TableFault as fault:
        return [], [Problem(str(path), fault.found, fault.expected)]
    return _check_rows(str(path), rows, dataset)


def _check_rows(name: str, rows: list[dict[str, str]], dataset: Dataset) -> tuple[list[LabelledCase], list[Problem]]:
    cases: dict[str, LabelledCase] = {}
    problems = []
    for line, row in enumerate(rows, start=2):
        where = f"{name}, line {line}"
        case, label = row["case"], row["label"]
        patient = row.get("patient") or case
        try:
            check_safe_name(case, "case")
        except ValueError:
            problems.append(Problem(where, f"case {case!r}", "letters, digits, '_', '-', '.'; no leading '.'"))
            continue
        if case in cases:
            problems.append(Problem(where, f"case {case!r} once more", "one row a case"))
            continue
        if label and label not in dataset.classes:
            expected = f"{', '.join(dataset.classes)}, or empty (ungraded)"
            problems.append(Problem(where, f"unknown class {label!r}", expected))
            label = ""
        for covariate in dataset.covariates:
            text = row.get(covariate.name, "")
            try:
                parse_value(covariate, text)
            except ValueError as error:
                problems.append(Problem(where, f"{covariate.name} {text!r}", str(error)))
        cases[case] = LabelledCase(case, patient, dataset.classes.index(label) if label else None)
    return list(cases.values()), problems
