"""Folds: grouped by patient, stratified by class and by available tracers, stable when cases are added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from reactkd_auto.fingerprint import CaseFingerprint
from reactkd_auto.splits import Splits

TRACER_WEIGHT = 0.1
"""Tracer availability is balanced after the classes."""


def split(
    cases: Sequence[CaseFingerprint], *, classes: int, folds: int, seed: int, existing: Splits | None = None
) -> Splits:
    """Assign every patient to the fold that lacks its classes most.

    Patients whose fold is known from ``existing`` (same seed and number of folds) keep it. Patients without a graded
    case are in fold −1: always trained on.
    """
    patients: dict[str, list[CaseFingerprint]] = {}
    for case in sorted(cases, key=lambda c: c.case):
        patients.setdefault(case.patient, []).append(case)
    graded = {p: _profile(own, classes) for p, own in patients.items() if any(c.label is not None for c in own)}
    known = _known_folds(patients, existing) if existing and (existing.seed, existing.folds) == (seed, folds) else {}
    known = {p: f for p, f in known.items() if p in graded and f >= 0}
    chosen = known | _assign(graded, known, classes=classes, folds=folds, seed=seed)
    assignment = {c.case: chosen.get(p, -1) for p, own in patients.items() for c in own}
    return Splits(seed, folds, dict(sorted(assignment.items())))


def _profile(cases: Sequence[CaseFingerprint], classes: int) -> np.ndarray:
    """Graded cases of each class, then cases with each privileged channel."""
    grades = np.bincount([c.label for c in cases if c.label is not None], minlength=classes)
    tracers = np.sum([c.present[1:] for c in cases], axis=0)
    return np.concatenate([grades, tracers]).astype(float)


def _known_folds(patients: Mapping[str, Sequence[CaseFingerprint]], existing: Splits) -> dict[str, int]:
    known = {}
    for patient, cases in patients.items():
        folds = [existing.assignment[c.case] for c in cases if existing.assignment.get(c.case, -1) >= 0]
        if folds:
            known[patient] = folds[0]
    return known


def _assign(
    profiles: Mapping[str, np.ndarray], known: Mapping[str, int], *, classes: int, folds: int, seed: int
) -> dict[str, int]:
    """Greedy: rarest class and largest patient first, each to the fold where its classes are rarest."""
    if not profiles:
        return {}
    total = np.maximum(np.sum(list(profiles.values()), axis=0), 1)
    weights = np.ones_like(total)
    weights[classes:] = TRACER_WEIGHT
    filled = np.zeros((folds, len(total)))
    for patient, fold in known.items():
        filled[fold] += profiles[patient]
    new = sorted(set(profiles) - set(known))
    order = np.random.default_rng(seed).permutation(len(new))
    ranked = sorted(order, key=lambda i: -float((profiles[new[i]] / total)[:classes].max()))
    chosen = {}
    for i in ranked:
        profile = profiles[new[i]]
        cost = (weights * profile / total**2 * filled).sum(axis=1)
        fold = int(np.lexsort((filled[:, :classes].sum(axis=1), cost.round(12)))[0])
        chosen[new[i]] = fold
        filled[fold] += profile
    return chosen
