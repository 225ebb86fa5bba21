"""What calibration did: scores of the probabilities as they were before, and prediction sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas

from reactkd_auto.calibration.columns import PREDICTION_SET, SET_COVERAGE, UNCALIBRATED_PREFIX, set_names

from .estimate import Estimate, wilson
from .sample import Sample, is_classified, is_graded


@dataclass(frozen=True)
class ClassCoverage:
    """Cases of one class, and how often the set held it."""

    name: str
    coverage: Estimate


@dataclass(frozen=True)
class SetResult:
    """Prediction sets of the graded cases that have one.

    Attributes:
        promised: Coverage that was promised.
        coverage: Share of sets that hold the true class, with Wilson's interval (cases as if independent).
        per_class: The same for each class.
        mean_size: Classes in a set, on average.
        single: Share of sets of one class: answers that exclude all others.
    """

    promised: float
    coverage: Estimate
    per_class: tuple[ClassCoverage, ...]
    mean_size: float
    single: Estimate


def uncalibrated_sample(table: Any, sample: Sample) -> Sample | None:
    """The same cases with their probabilities from before calibration; None where the table does not tell all.

    Args:
        table: The joined table that ``sample`` was made from.
        sample: Its graded, classified cases.
    """
    columns = [f"{UNCALIBRATED_PREFIX}{c}" for c in sample.classes]
    if not sample.n_cases or not set(columns) <= set(table):
        return None
    rows = table[is_graded(table) & is_classified(table)]
    probabilities = rows[columns].apply(pandas.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    inside = (probabilities >= 0) & (probabilities <= 1)
    return replace(sample, probabilities=probabilities) if inside.all() else None


def set_results(table: Any, sample: Sample) -> SetResult | None:
    """Coverage and size of the prediction sets; None where no case has one, or not all were promised the same.

    Args:
        table: The joined table that ``sample`` was made from.
        sample: Its graded, classified cases.
    """
    if not {PREDICTION_SET, SET_COVERAGE} <= set(table):
        return None
    rows = table[is_graded(table) & is_classified(table)]
    promised = pandas.to_numeric(rows[SET_COVERAGE], errors="coerce").to_numpy(dtype=np.float64)
    told = ~np.isnan(promised)
    if len(set(promised[told].tolist())) != 1:
        return None
    sets = [set_names(text) for text in rows[PREDICTION_SET][told]]
    labels = sample.labels[told]
    held = np.array([sample.classes[k] in names for k, names in zip(labels, sets, strict=True)])
    return SetResult(
        promised=float(promised[told][0]),
        coverage=_share(held),
        per_class=tuple(ClassCoverage(name, _share(held[labels == k])) for k, name in enumerate(sample.classes)),
        mean_size=float(np.mean([len(names) for names in sets])),
        single=_share([len(names) == 1 for names in sets]),
    )


def _share(flags: Sequence[bool] | Any) -> Estimate:
    return wilson(int(np.sum(flags)), len(flags))
