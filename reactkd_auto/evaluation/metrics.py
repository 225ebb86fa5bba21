"""The evaluation: every number with its interval, from one table of predictions and labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .auc import auc_with_interval
from .bootstrap import REPLICATES, PatientBootstrap, macro_auc_with_interval, percentile_estimate
from .calibration import brier_per_case, calibration_slope, expected_calibration_error
from .decisions import DecisionCurve, decision_curves
from .estimate import Estimate, undefined, wilson
from .explanations import ExplanationMeasure
from .paired import PairedDifference, paired_auc_difference
from .sample import Sample, is_classified, is_graded, sample_of
from .scores import accuracy, balanced_accuracy, confusion_matrices, f1_macro, quadratic_kappa
from .subgroups import SubgroupResult, subgroup_results
from .sweep import Sweep
from .uncalibrated import SetResult, set_results, uncalibrated_sample

SCHEMA_VERSION = 5
NOBODY = "no graded case was classified"


@dataclass(frozen=True)
class ClassResult:
    """One class against the rest.

    Attributes:
        name: The class.
        n_cases, n_patients: Graded and classified cases of it, and their patients.
        n_not_classified: Graded cases of it that got no answer.
        auc: Area under the ROC curve of its probability.
        sensitivity, specificity: Of the predicted class, with Wilson intervals (cases as if independent).
    """

    name: str
    n_cases: int
    n_patients: int
    n_not_classified: int
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate


@dataclass(frozen=True)
class FoldResult:
    """One fold of a table that says which fold's model answered (column ``fold``)."""

    fold: str
    n_cases: int
    macro_auc: Estimate
    balanced_accuracy: Estimate


@dataclass(frozen=True)
class UnansweredCase:
    """A case without a prediction, and why."""

    case: str
    label: str
    reason: str


@dataclass(frozen=True)
class ProbabilityScores:
    """How right probabilities are, whatever their order."""

    brier: Estimate
    calibration_slope: Estimate
    expected_calibration_error: Estimate


@dataclass(frozen=True)
class Evaluation:
    """What `metrics.json` holds. All scores are of the graded cases that were classified.

    Attributes:
        classes, classes_ordered: As evaluated.
        seed: Seed of the bootstrap.
        n_cases, n_patients: Graded and classified: what the scores are made of.
        n_not_classified: Graded cases without an answer ("not classified" or "failed"); listed in ``not_classified``.
        n_ungraded: Predicted cases without a label, in no score.
        n_without_prediction: Graded cases that the predictions do not name, in no score.
        confusion: Cases by [true, predicted] class.
        per_class, per_fold: Each class against the rest; each fold, where the table has a column ``fold``.
        decisions: Decision curves.
        subgroups: Groups that further columns of the label table define.
        comparison: With other predictions of the same cases, where they are given (``a`` is this one).
        sweeps: Of doses, channels and regions, where they were asked for.
        uncalibrated: Scores of the probabilities as they were before calibration, where the table tells them.
        prediction_sets: Where the table tells them.
        explanations: Checks of the explanations, where they were made.
    """

    classes: tuple[str, ...]
    classes_ordered: bool
    seed: int
    n_cases: int
    n_patients: int
    n_not_classified: int
    n_ungraded: int
    n_without_prediction: int
    macro_auc: Estimate
    accuracy: Estimate
    balanced_accuracy: Estimate
    f1_macro: Estimate
    quadratic_kappa: Estimate
    brier: Estimate
    calibration_slope: Estimate
    expected_calibration_error: Estimate
    per_class: tuple[ClassResult, ...]
    per_fold: tuple[FoldResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    decisions: tuple[DecisionCurve, ...]
    subgroups: tuple[SubgroupResult, ...]
    comparison: PairedDifference | None
    not_classified: tuple[UnansweredCase, ...]
    sweeps: tuple[Sweep, ...] = ()
    uncalibrated: ProbabilityScores | None = None
    prediction_sets: SetResult | None = None
    explanations: tuple[ExplanationMeasure, ...] = ()
    schema_version: int = SCHEMA_VERSION


def evaluate_predictions(
    table: Any,
    classes: Sequence[str],
    *,
    ordered: bool,
    seed: int,
    n_without_prediction: int = 0,
    covariates: Any = None,
    against: Any = None,
    sweeps: Sequence[Sweep] = (),
    explanations: Sequence[ExplanationMeasure] = (),
) -> Evaluation:
    """Judge a table of predictions.

    Args:
        table: pandas table, one row a case: ``case``, ``label`` (class name; empty or missing: ungraded),
            ``predicted_class``, ``p_<class>``; optional ``patient`` (else the case), ``status`` (else all
            classified), ``reason`` (of an unclassified case), ``fold``, and the columns of
            `reactkd_auto.calibration.columns`.
        classes: Class names, lowest first where ``ordered``.
        ordered: Whether the classes are grades, so that quadratic-weighted kappa has a meaning.
        seed: Seed of the bootstrap.
        n_without_prediction: Graded cases known to be missing from the table, to be reported.
        covariates: pandas table of texts, row by row as ``table``, whose columns define subgroups.
        against: Another table of the same form, to be compared with on the cases that both classified.
        sweeps: The same cases under other conditions, handed on.
        explanations: Checks of the explanations, handed on.

    Raises:
        UserError: A column is missing or a class name unknown.
    """
    sample = sample_of(table, classes)
    before = uncalibrated_sample(table, sample)
    graded, classified = is_graded(table), is_classified(table)
    unanswered = tuple(_unanswered(row) for _, row in table[graded & ~classified].iterrows())
    confusion = confusion_matrices(sample.labels, sample.predicted, len(classes))[0]
    return Evaluation(
        classes=tuple(classes),
        classes_ordered=ordered,
        seed=seed,
        n_cases=sample.n_cases,
        n_patients=sample.n_patients,
        n_not_classified=len(unanswered),
        n_ungraded=int((~graded).sum()),
        n_without_prediction=n_without_prediction,
        **_scores(sample, ordered=ordered, seed=seed),
        per_class=tuple(_class_result(sample, k, unanswered, confusion) for k in range(len(classes))),
        per_fold=_per_fold(table, classes, seed=seed),
        confusion=tuple(tuple(int(v) for v in row) for row in confusion),
        decisions=decision_curves(sample, ordered=ordered, seed=seed) if sample.n_cases else (),
        subgroups=() if covariates is None else subgroup_results(table, covariates, classes, seed=seed),
        comparison=None if against is None else paired_auc_difference(table, against, classes, seed=seed),
        not_classified=unanswered,
        sweeps=tuple(sweeps),
        uncalibrated=None if before is None else ProbabilityScores(**_probability_scores(before, seed)),
        prediction_sets=set_results(table, sample),
        explanations=tuple(explanations),
    )


def _scores(sample: Sample, *, ordered: bool, seed: int) -> dict[str, Any]:
    names = (
        "macro_auc",
        "accuracy",
        "balanced_accuracy",
        "f1_macro",
        "quadratic_kappa",
        "brier",
        "calibration_slope",
        "expected_calibration_error",
    )
    if sample.n_cases == 0:
        return dict.fromkeys(names, undefined(NOBODY))
    unordered = undefined("the classes are not ordered")
    return {
        "macro_auc": macro_auc_with_interval(sample, seed=seed),
        "accuracy": _of_confusion(accuracy, sample, seed),
        "balanced_accuracy": _of_confusion(balanced_accuracy, sample, seed),
        "f1_macro": _of_confusion(f1_macro, sample, seed),
        "quadratic_kappa": _of_confusion(quadratic_kappa, sample, seed) if ordered else unordered,
        **_probability_scores(sample, seed),
    }


def _probability_scores(sample: Sample, seed: int) -> dict[str, Estimate]:
    return {
        "brier": _brier(sample, seed),
        "calibration_slope": calibration_slope(sample.labels, sample.probabilities),
        "expected_calibration_error": Estimate(
            expected_calibration_error(sample.labels, sample.probabilities),
            reason="biased upwards with few cases",
        ),
    }


def _of_confusion(score: Callable[[NDArray[Any]], NDArray[Any]], sample: Sample, seed: int) -> Estimate:
    def of(weights: NDArray[Any]) -> NDArray[Any]:
        return score(confusion_matrices(sample.labels, sample.predicted, len(sample.classes), weights))

    return _bootstrapped(of, sample, seed)


def _brier(sample: Sample, seed: int) -> Estimate:
    errors = brier_per_case(sample.labels, sample.probabilities)
    return _bootstrapped(lambda weights: (weights @ errors) / weights.sum(axis=1), sample, seed)


def _bootstrapped(of: Callable[[NDArray[Any]], NDArray[Any]], sample: Sample, seed: int) -> Estimate:
    bootstrap = PatientBootstrap(sample.labels, sample.patients, REPLICATES, seed)
    value = float(of(np.ones((1, sample.n_cases)))[0])
    return percentile_estimate(value, np.concatenate([of(weights) for weights in bootstrap.weights()]))


def _class_result(sample: Sample, k: int, unanswered: Sequence[UnansweredCase], confusion: NDArray[Any]) -> ClassResult:
    positive = sample.labels == k
    right, n = int(confusion[k, k]), int(positive.sum())
    others_right = sample.n_cases - n - int(confusion[:, k].sum()) + right
    return ClassResult(
        name=sample.classes[k],
        n_cases=n,
        n_patients=int(np.unique(sample.patients[positive]).size),
        n_not_classified=sum(u.label == sample.classes[k] for u in unanswered),
        auc=auc_with_interval(positive, sample.probabilities[:, k], groups=sample.patients),
        sensitivity=wilson(right, n),
        specificity=wilson(others_right, sample.n_cases - n),
    )


def _per_fold(table: Any, classes: Sequence[str], *, seed: int) -> tuple[FoldResult, ...]:
    """Results of each fold, empty where the table does not say or has one fold only."""
    if "fold" not in table or table["fold"].nunique() < 2:
        return ()
    results = []
    for fold, rows in table.groupby("fold", sort=True):
        part = sample_of(rows, classes)
        if part.n_cases:
            area = macro_auc_with_interval(part, seed=seed)
            balanced = _of_confusion(balanced_accuracy, part, seed)
        else:
            area = balanced = undefined(NOBODY)
        results.append(FoldResult(str(fold), part.n_cases, area, balanced))
    return tuple(results)


def _unanswered(row: Any) -> UnansweredCase:
    reason = row.get("reason")
    return UnansweredCase(str(row["case"]), str(row["label"]), reason if isinstance(reason, str) else "")
