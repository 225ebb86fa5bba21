"""Is one model better than another on the same patients?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reactkd_auto.errors import UserError

from .bootstrap import REPLICATES, PatientBootstrap, bootstrap_macro_auc, macro_auc
from .estimate import Estimate, undefined
from .sample import Sample, is_classified, is_graded, sample_of


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
    common, left_out = _common_cases(table_a, table_b)
    a, b = (_in_order(t, common, classes) for t in (table_a, table_b))
    for name, label_a, label_b in zip(a.cases, a.labels, b.labels, strict=True):
        if label_a != label_b:
            raise UserError(
                f"case {name!r}: label {classes[label_a]} in one table and {classes[label_b]} in the other, "
                "expected the same labels."
            )
    if np.any(a.patients != b.patients):
        raise UserError("cases belong to different patients in the two tables, expected the same patients.")
    if np.unique(a.labels).size < 2:
        reason = "fewer than two classes occur among the common cases"
        return PairedDifference(a.n_cases, a.n_patients, left_out, None, None, undefined(reason), None)
    once = np.ones((1, a.n_cases))
    auc_a, auc_b = (float(macro_auc(s.labels, s.probabilities, once)[0]) for s in (a, b))
    bootstrap = PatientBootstrap(a.labels, a.patients, replicates, seed)
    areas = bootstrap_macro_auc(bootstrap, [a.probabilities, b.probabilities])
    differences = areas[:, 0] - areas[:, 1]
    low, high = np.quantile(differences, [0.025, 0.975])
    tail = min((differences <= 0).sum(), (differences >= 0).sum()) + 1
    return PairedDifference(
        a.n_cases,
        a.n_patients,
        left_out,
        auc_a,
        auc_b,
        Estimate(auc_a - auc_b, float(low), float(high), f"paired patient bootstrap {replicates}×, percentile"),
        min(1.0, 2 * float(tail) / (differences.size + 1)),
    )


def _common_cases(table_a: Any, table_b: Any) -> tuple[list[str], int]:
    answered = [set(t["case"][is_graded(t) & is_classified(t)]) for t in (table_a, table_b)]
    return sorted(answered[0] & answered[1]), len(answered[0] ^ answered[1])


def _in_order(table: Any, cases: list[str], classes: Sequence[str]) -> Sample:
    return sample_of(table.set_index("case", drop=False).loc[cases], classes)
