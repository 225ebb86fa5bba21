"""Does the model work for everybody? Scores within groups that further columns of the label table define."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas

from .bootstrap import macro_auc_with_interval
from .estimate import Estimate
from .sample import sample_of

MOST_GROUPS = 8
UNKNOWN = "unknown"


@dataclass(frozen=True)
class SubgroupResult:
    """One group of cases.

    Attributes:
        column: Of the label table.
        group: Value of that column, or its half (``≤ 61``, ``> 61``) where it holds numbers; ``unknown``: empty.
        n_cases, n_patients: Graded and classified.
        macro_auc: As for all cases.
    """

    column: str
    group: str
    n_cases: int
    n_patients: int
    macro_auc: Estimate


def subgroup_results(table: Any, columns: Any, classes: Sequence[str], *, seed: int) -> tuple[SubgroupResult, ...]:
    """Scores of every group of every column; a column of too many different texts (names, dates) forms none.

    Args:
        table: As `metrics.evaluate_predictions` takes.
        columns: pandas table of texts, row by row as ``table``; empty texts are unknown.
        classes: Class names.
        seed: Seed of the bootstrap.
    """
    results = []
    for column in columns:
        for group, members in _groups(columns[column]):
            sample = sample_of(table[members.to_numpy()], classes)
            if sample.n_cases:
                area = macro_auc_with_interval(sample, seed=seed)
                results.append(SubgroupResult(str(column), group, sample.n_cases, sample.n_patients, area))
    return tuple(results)


def _groups(values: Any) -> Iterator[tuple[str, Any]]:
    """Names of groups and the rows that belong to them, unknown ones last; nothing where there would be only one."""
    known = values[values != ""]
    numbers = pandas.to_numeric(known, errors="coerce")
    if known.nunique() > 2 and np.isfinite(numbers).all():
        everywhere = pandas.to_numeric(values, errors="coerce")
        middle = float(numbers.median())
        groups = {f"≤ {middle:g}": everywhere <= middle, f"> {middle:g}": everywhere > middle}
    elif known.nunique() <= MOST_GROUPS:
        groups = {str(value): values == value for value in sorted(known.unique())}
    else:
        groups = {}
    if len(groups) < 2:
        return
    yield from groups.items()
    if (values == "").any():
        yield UNKNOWN, values == ""
