"""The graded, classified cases of a table as arrays: what every metric and picture is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from reactkd_auto.errors import UserError

CLASSIFIED = "classified"
STATUSES = (CLASSIFIED, "not classified", "failed")
"""Only classified cases enter a score; the others are counted."""


@dataclass(frozen=True)
class Sample:
    """Cases with a label and an answer.

    Attributes:
        cases: (n,) names.
        patients: (n,) patient of each case as 0 … patients − 1.
        labels: (n,) true class index.
        predicted: (n,) predicted class index.
        probabilities: (n, classes).
        classes: Class names, in the order of the columns.
    """

    cases: tuple[str, ...]
    patients: NDArray[np.int64]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    classes: tuple[str, ...]

    @property
    def n_cases(self) -> int:
        """Number of cases."""
        return len(self.cases)

    @property
    def n_patients(self) -> int:
        """Number of different patients."""
        return int(np.unique(self.patients).size)

    @property
    def one_hot(self) -> NDArray[np.float64]:
        """(n, classes) labels as 0 and 1."""
        return np.eye(len(self.classes))[self.labels]


def is_graded(table: Any) -> Any:
    """Which rows of a table have a label (not empty, not missing)."""
    return table["label"].notna() & (table["label"] != "")


def is_classified(table: Any) -> Any:
    """Which rows of a table have an answer; all of them where the table has no column ``status``."""
    if "status" not in table:
        return pandas.Series(True, index=table.index)
    return table["status"] == CLASSIFIED


def sample_of(table: Any, classes: Sequence[str]) -> Sample:
    """The graded and classified rows of a joined table (see `tables.read_joined`), as arrays.

    Args:
        table: Columns ``case``, ``label``, ``predicted_class``, ``p_<class>``; ``patient`` and ``status`` optional.
        classes: Class names.

    Raises:
        UserError: A column is missing, or a class name is unknown.
    """
    columns = ["case", "label", "predicted_class", *(f"p_{c}" for c in classes)]
    if missing := [c for c in columns if c not in table]:
        raise UserError(f"table of predictions: column {missing[0]!r} is missing, found {', '.join(table.columns)}.")
    rows = table[is_graded(table) & is_classified(table)]
    return Sample(
        cases=tuple(str(c) for c in rows["case"]),
        patients=pandas.factorize(_patients(rows))[0].astype(np.int64),
        labels=_indices(rows["label"], classes),
        predicted=_indices(rows["predicted_class"], classes),
        probabilities=rows[[f"p_{c}" for c in classes]].to_numpy(dtype=np.float64),
        classes=tuple(classes),
    )


def _patients(rows: Any) -> Any:
    if "patient" not in rows:
        return rows["case"]
    return rows["patient"].where(rows["patient"].notna() & (rows["patient"] != ""), rows["case"])


def _indices(names: Any, classes: Sequence[str]) -> NDArray[np.int64]:
    position = {name: i for i, name in enumerate(classes)}
    if unknown := sorted({str(n) for n in names} - set(position)):
        raise UserError(f"table of predictions: unknown class {unknown[0]!r}, expected one of {', '.join(classes)}.")
    return np.asarray([position[n] for n in names], dtype=np.int64)
