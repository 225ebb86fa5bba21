"""Every fault of a label table at once (`reactkd_auto.dataset.read_labels` stops at the first)."""

from __future__ import annotations

import csv
from pathlib import Path

from reactkd_auto.covariates import parse_value
from reactkd_auto.dataset import Dataset, LabelledCase, check_safe_name
from reactkd_auto.verification import Problem


def check_labels(path: Path, dataset: Dataset, *, training: bool) -> tuple[list[LabelledCase], list[Problem]]:
    """Read a label table as far as it can be read.

    Args:
        path: The table.
        dataset: For classes and covariates.
        training: Whether covariates must have their columns; in a test part they may be missing altogether.

    Returns:
        The rows without a fault (the first of duplicates), and all faults: no file, no rows, a missing column, an
        unsafe or duplicate case, an unknown class, a covariate that is no number or unknown category.
    """
    name, expected = str(path), "a CSV with columns case, patient, label"
    if not path.is_file():
        return [], [Problem(name, "no such file", expected)]
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or [])
    except (UnicodeDecodeError, csv.Error) as error:
        return [], [Problem(name, f"an unreadable table ({error})", expected)]
    named = [c.name for c in dataset.covariates if training]
    missing = [c for c in ("case", "label", *named) if c not in columns]
    if missing:
        found = f"columns {', '.join(columns)}" if columns else "no header"
        return [], [Problem(name, found, f"a column {c!r}") for c in missing]
    if not rows:
        return [], [Problem(name, "no rows", "one row a case")]
    return _check_rows(name, rows, dataset)


def _check_rows(
    name: str, rows: list[dict[str, str | None]], dataset: Dataset
) -> tuple[list[LabelledCase], list[Problem]]:
    cases: dict[str, LabelledCase] = {}
    problems = []
    for line, row in enumerate(rows, start=2):
        where = f"{name}, line {line}"
        case, label = (row["case"] or "").strip(), (row["label"] or "").strip()
        patient = (row.get("patient") or "").strip() or case
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
            text = row.get(covariate.name) or ""
            try:
                parse_value(covariate, text)
            except ValueError as error:
                problems.append(Problem(where, f"{covariate.name} {text!r}", str(error)))
        cases[case] = LabelledCase(case, patient, dataset.classes.index(label) if label else None)
    return list(cases.values()), problems
