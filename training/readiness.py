"""KD-readiness: teachers against their own CT-only branch, on cases that none of them saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from reactkd_auto.cases import CaseProperties
from reactkd_auto.evaluation.bootstrap import (
    REPLICATES,
    PatientBootstrap,
    macro_auc_with_interval,
    percentile_estimate,
)
from reactkd_auto.evaluation.estimate import Estimate, undefined
from reactkd_auto.evaluation.paired import paired_auc_difference
from reactkd_auto.evaluation.sample import Sample, sample_of
from reactkd_auto.training.readiness_verdict import WORDS, Verdict, judge
from reactkd_auto.training.teachers_stage import Logits, probabilities

STACKING_FOLDS = 5
SMALLEST_PROBABILITY = 1e-6
HEADS = ("fused", "structure", "dose")
NO_TEACHER = "no teacher sees more than the CT"


@dataclass(frozen=True)
class Readiness:
    """What `readiness.json` holds. All figures are of graded cases with a privileged channel, each held out.

    Attributes:
        verdict: Of `readiness_verdict.judge`.
        reasons: Why.
        n_cases, n_patients, class_patients: What the figures are made of.
        n_without_privileged: Graded held-out cases left out because they have no privileged channel.
        fused, structure, ct_only: Macro AUC of the fused teacher, of the structure-function teacher, and of the dose
            teacher, which sees the CT alone.
        fused_gain, structure_gain: AUC minus ``ct_only``'s, paired.
        stacking_gain: By how many nats a case the log-loss falls when a logistic regression of the label may see the
            fused teacher's log-probabilities beside the CT-only ones (see `stacking_gain`).
        seed: Of bootstrap and stacking folds.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    n_cases: int
    n_patients: int
    class_patients: tuple[int, ...]
    n_without_privileged: int
    fused: Estimate
    structure: Estimate
    ct_only: Estimate
    fused_gain: Estimate
    structure_gain: Estimate
    stacking_gain: Estimate
    seed: int
    schema_version: int = field(default=1)

    @property
    def sentence(self) -> str:
        """The verdict with its numbers and reasons."""
        counts = f"{self.n_cases} held-out cases of {self.n_patients} patients"
        figures = (
            f": AUC of the teacher {self.fused}, of its CT-only branch {self.ct_only}, difference {self.fused_gain}"
        )
        shown = figures if self.fused.value is not None and self.ct_only.value is not None else ""
        return f"KD-readiness: {WORDS[self.verdict]}, from {counts}{shown}; {'; '.join(self.reasons)}."


def assess(
    logits: Logits,
    cases: Sequence[CaseProperties],
    classes: Sequence[str],
    *,
    seed: int,
    replicates: int = REPLICATES,
) -> Readiness:
    """Judge teachers by their out-of-fold logits.

    Args:
        logits: By head and case; ``structure`` and ``dose`` are missing without a structure-function teacher.
        cases: Properties of the answered cases at least.
        classes: Class names.
        seed: Of bootstrap and stacking folds.
        replicates: Of the bootstrap.
    """
    graded = [c for c in cases if c.label is not None and c.case in logits.get("fused", {})]
    privileged = "structure" in logits
    judged = [c for c in graded if any(c.present[1:])] if privileged else graded
    patients = tuple(len({c.patient for c in judged if c.label == k}) for k in range(len(classes)))
    tables = {head: _table(logits.get(head, {}), judged, classes) for head in HEADS[: None if privileged else 1]}
    samples = {head: sample_of(table, classes) for head, table in tables.items()}
    areas = {head: macro_auc_with_interval(s, seed=seed, replicates=replicates) for head, s in samples.items()}
    none = undefined(NO_TEACHER)
    gains, stacked = {"fused": none, "structure": none}, none
    if privileged:
        gains = {
            head: paired_auc_difference(
                tables[head], tables["dose"], classes, seed=seed, replicates=replicates
            ).difference
            for head in gains
        }
        stacked = stacking_gain(samples["dose"], samples["fused"], seed=seed, replicates=replicates)
    ct_only = areas.get("dose", areas["fused"])
    judgement = judge(gains["fused"], ct_only, patients)
    return Readiness(
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        n_cases=len(judged),
        n_patients=len({c.patient for c in judged}),
        class_patients=patients,
        n_without_privileged=len(graded) - len(judged),
        fused=areas["fused"],
        structure=areas.get("structure", none),
        ct_only=ct_only,
        fused_gain=gains["fused"],
        structure_gain=gains["structure"],
        stacking_gain=stacked,
        seed=seed,
    )


def stacking_gain(ct_only: Sample, teacher: Sample, *, seed: int, replicates: int = REPLICATES) -> Estimate:
    """What the teacher knows of the label beyond the CT-only branch, in nats a case.

    −log p of a logistic regression on the CT-only log-probabilities, minus −log p of one on both models' (stacking,
    Wolpert, Neural Networks 1992), each fitted without the patients it is judged on; interval by patient bootstrap of
    the cases' differences. Above 0: the teacher adds something.
    """
    smallest = PatientBootstrap(ct_only.labels, ct_only.patients).smallest_stratum() if ct_only.n_cases else 0
    if smallest < STACKING_FOLDS or np.unique(ct_only.labels).size < 2:
        return undefined(f"fewer than {STACKING_FOLDS} patients of a class")
    alone = _log_probabilities(ct_only)
    both = np.hstack([alone, _log_probabilities(teacher)])
    losses = [_stacked_loss(x, ct_only.labels, ct_only.patients, seed) for x in (alone, both)]
    gains = losses[0] - losses[1]
    bootstrap = PatientBootstrap(ct_only.labels, ct_only.patients, replicates, seed)
    means = np.concatenate([weights @ gains / weights.sum(axis=1) for weights in bootstrap.weights()])
    return percentile_estimate(float(gains.mean()), means)


def _stacked_loss(
    features: NDArray[np.float64], labels: NDArray[np.int64], patients: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """(n,) −log p of the true class, out of fold."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    losses = np.empty(len(labels))
    folds = StratifiedGroupKFold(STACKING_FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(features, labels, patients):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        model.fit(features[train], labels[train])
        column = {k: i for i, k in enumerate(model.classes_)}
        predicted = model.predict_proba(features[test])
        chosen = np.array([p[column[k]] if k in column else 0.0 for p, k in zip(predicted, labels[test], strict=True)])
        losses[test] = -np.log(np.maximum(chosen, SMALLEST_PROBABILITY))
    return losses


def _log_probabilities(sample: Sample) -> NDArray[np.float64]:
    """(n, K − 1) log p of each class but the first, over the first's."""
    logs = np.log(np.maximum(sample.probabilities, SMALLEST_PROBABILITY))
    return np.asarray(logs[:, 1:] - logs[:, :1])


def _table(rows: Mapping[str, Sequence[float]], cases: Sequence[CaseProperties], classes: Sequence[str]) -> Any:
    """The table that the evaluation reads."""
    known = probabilities({c.case: rows[c.case] for c in cases})
    values = np.array([known[c.case] for c in cases]).reshape(-1, len(classes))
    table = {
        "case": [c.case for c in cases],
        "patient": [c.patient for c in cases],
        "label": [classes[c.label] for c in cases if c.label is not None],
        "predicted_class": [classes[k] for k in values.argmax(1)] if len(cases) else [],
    }
    return pandas.DataFrame(table | {f"p_{name}": values[:, k] for k, name in enumerate(classes)})
