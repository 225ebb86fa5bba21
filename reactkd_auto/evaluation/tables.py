"""Reading `predictions.csv` and `labels.csv`, and joining them by case."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from reactkd_auto.dataset import Dataset, read_labels
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import read_document
from reactkd_auto.tables import read_csv

from .sample import CLASSIFIED, STATUSES

PROBABILITY_PREFIX = "p_"
REQUIRED = ("case", "status", "predicted_class")
SUM_TOLERANCE = 0.01

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JoinedTable:
    """Predictions with their labels.

    Attributes:
        table: One row a predicted case: ``case``, ``status``, ``predicted_class``, ``p_<class>`` (floats),
            ``patient``, ``label`` (None: ungraded), and whatever else the predictions say.
        classes: Class names.
        classes_ordered: Whether they are grades, lowest first.
        n_without_prediction: Graded cases of the label table that the predictions do not name.
        covariates: Further columns of the label table as texts, row by row as ``table``.
    """

    table: Any
    classes: tuple[str, ...]
    classes_ordered: bool
    n_without_prediction: int
    covariates: Any


def read_joined(predictions: Path, labels: Path, *, dataset_json: Path | None = None) -> JoinedTable:
    """Read both tables and join them by case.

    Args:
        predictions: CSV with ``case``, ``status`` (``classified``, ``not classified`` or ``failed``),
            ``predicted_class`` and a column ``p_<class>`` for each class; other columns are kept and not looked at.
        labels: CSV with ``case``, ``label`` (class name, or empty: ungraded), optionally ``patient`` and others.
        dataset_json: Says the classes and whether they are ordered; else the ``p_`` columns name them.

    Raises:
        UserError: A file or column is missing, a class unknown, a case duplicate, a probability no number, or
            no graded case was predicted.
    """
    dataset = None if dataset_json is None else read_document(Dataset, Path(dataset_json))
    rows, classes = read_predictions(predictions, classes=None if dataset is None else dataset.classes)
    graded = read_labels(labels, classes)
    by_case = {c.case: c for c in graded}
    known = [by_case.get(case) for case in rows["case"]]
    rows["patient"] = [case if c is None else c.patient for case, c in zip(rows["case"], known, strict=True)]
    rows["label"] = pandas.Series(
        [None if c is None or c.label is None else classes[c.label] for c in known],
        index=rows.index,
        dtype=object,
    )
    with_label = {c.case for c in graded if c.label is not None}
    if not with_label:
        raise UserError(f"{labels}: no case has a label, expected at least one to evaluate.")
    predicted = set(rows["case"])
    if not with_label & predicted:
        raise UserError(
            f"{predictions}: none of its {len(predicted)} cases (first {rows['case'].iloc[0]!r}) has a label in "
            f"{labels} ({len(with_label)} graded cases, first {min(with_label)!r}); expected the same case names."
        )
    if left := len(with_label - predicted):
        _logger.warning("%s: %d graded cases of %s have no prediction.", predictions, left, labels)
    ordered = bool(dataset and dataset.classes_ordered)
    return JoinedTable(rows, classes, ordered, len(with_label - predicted), _covariates(labels, rows["case"]))


def read_predictions(path: Path, *, classes: Sequence[str] | None = None) -> tuple[Any, tuple[str, ...]]:
    """Read and check a table of predictions.

    Args:
        path: The CSV, see `read_joined`.
        classes: Expected classes; None: as the ``p_`` columns say, in their order.

    Returns:
        The table (texts, but ``p_<class>`` floats, NaN where a case was not classified) and the classes.

    Raises:
        UserError: See `read_joined`.
    """
    rows = pandas.DataFrame(read_csv(path, REQUIRED))
    names = tuple(classes or (c.removeprefix(PROBABILITY_PREFIX) for c in rows if c.startswith(PROBABILITY_PREFIX)))
    if len(names) < 2:
        raise UserError(f"{path}: {len(names)} columns of probabilities, expected p_<class> for two classes or more.")
    if missing := [n for n in names if f"{PROBABILITY_PREFIX}{n}" not in rows]:
        raise UserError(
            f"{path}: column '{PROBABILITY_PREFIX}{missing[0]}' is missing, found {', '.join(rows.columns)}."
        )
    _check_cases(path, rows)
    _check_answers(path, rows, names)
    return rows, names


def _covariates(labels: Path, cases: Any) -> Any:
    """Columns of the label table beyond case, patient and label, in the order of ``cases``; unknown ones empty."""
    columns = (
        pandas.DataFrame(read_csv(labels, ("case",)))
        .set_index("case")
        .drop(columns=["patient", "label"], errors="ignore")
    )
    return columns.reindex(cases, fill_value="").reset_index(drop=True)


def _check_cases(path: Path, rows: Any) -> None:
    if (empty := rows["case"] == "").any():
        raise UserError(f"{path}, line {_line(rows, empty)}: empty case name, expected one row a case.")
    if (twice := rows["case"].duplicated()).any():
        name = rows["case"][twice].iloc[0]
        raise UserError(
            f"{path}, line {_line(rows, twice)}: case {name!r} stands in more than one row, expected one row a case."
        )
    if (strange := ~rows["status"].isin(STATUSES)).any():
        raise UserError(
            f"{path}, line {_line(rows, strange)}: status {rows['status'][strange].iloc[0]!r}, "
            f"expected {', '.join(map(repr, STATUSES))}."
        )


def _check_answers(path: Path, rows: Any, classes: tuple[str, ...]) -> None:
    """Check predicted classes and probabilities of the classified rows, and make the probabilities floats."""
    answered = rows["status"] == CLASSIFIED
    if (unknown := answered & ~rows["predicted_class"].isin(classes)).any():
        raise UserError(
            f"{path}, line {_line(rows, unknown)}: predicted class {rows['predicted_class'][unknown].iloc[0]!r}, "
            f"expected one of {', '.join(classes)}."
        )
    columns = [f"{PROBABILITY_PREFIX}{c}" for c in classes]
    for column in columns:
        numbers = pandas.to_numeric(rows[column], errors="coerce").where(answered)
        if (bad := answered & ~numbers.between(0, 1)).any():
            raise UserError(
                f"{path}, line {_line(rows, bad)}: {column} is {rows[column][bad].iloc[0]!r}, "
                "expected a probability from 0 to 1."
            )
        rows[column] = numbers.astype(np.float64)
    sums = rows[columns].sum(axis=1)
    if (wrong := answered & ((sums - 1).abs() > SUM_TOLERANCE)).any():
        raise UserError(
            f"{path}, line {_line(rows, wrong)}: the probabilities of case {rows['case'][wrong].iloc[0]!r} sum to "
            f"{sums[wrong].iloc[0]:.3g}, expected 1."
        )


def _line(rows: Any, which: Any) -> int:
    """Line of the first marked row in its file (the header is line 1; texts hold no line breaks)."""
    return int(np.flatnonzero(which)[0]) + 2
