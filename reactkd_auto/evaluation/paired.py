"""Is one model better than another on the same patients?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .bootstrap import REPLICATES
from .estimate import Estimate, undefined
from .seeds import compare_recipes


@dataclass(frozen=True)
class PairedDifference:
    """Two models on the cases that both classified.

    Attributes:
        n_cases, n_patients: Graded cases that both classified.
        n_left_out: Graded cases that only one of them classified.
        auc_a, auc_b: Macro one-against-rest AUCs on those cases; None where undefined.
        difference: AUC of a minus AUC of b with its 95 % paired patient-bootstrap interval.
        p_value: Two-sided bootstrap p of no difference; None where undefined.
    """

    n_cases: int
    n_patients: int
    n_left_out: int
    auc_a: float | None
    auc_b: float | None
    difference: Estimate
    p_value: float | None


def paired_auc_difference(
    table_a: Any, table_b: Any, classes: Sequence[str], *, seed: int, replicates: int = REPLICATES
) -> PairedDifference:
    """Difference of two models' macro AUCs on the same cases: both are judged on the same drawn patients.

    The interval is the bootstrap's percentile one, p = 2 min(share ≤ 0, share ≥ 0) with the observed value
    counted in (Efron & Tibshirani 1993, ch. 13 and 15).

    Args:
        table_a, table_b: Tables as `metrics.evaluate_predictions` takes.
        classes: Class names.
        seed: Seed of the bootstrap.
        replicates: Number of draws.

    Raises:
        UserError: A case has another label or patient in each table, a column is missing, or a class unknown.
    """
    tables = {"a": {0: table_a}, "b": {0: table_b}}
    found = compare_recipes(tables, classes, reference="b", seed=seed, replicates=replicates)
    a, b = found.recipes
    return PairedDifference(
        found.n_cases,
        found.n_patients,
        found.n_left_out,
        a.auc.value,
        b.auc.value,
        a.difference or undefined(a.auc.reason),
        a.p_value,
    )
