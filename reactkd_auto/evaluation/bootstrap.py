"""Bootstrap over patients, stratified by class, as weights on cases: every replicate is one row of counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .auc import auc_with_interval
from .estimate import LEVEL, Estimate, logit_limits, undefined
from .sample import Sample

REPLICATES = 2000
CHUNK = 250


@dataclass(frozen=True)
class PatientBootstrap:
    """Draws patients with replacement within strata of class; a patient's cases always stay together.

    A patient belongs to the class of most of its cases (of equally frequent ones, the one rarer in the cohort).

    Attributes:
        labels: (n,) class index of each case.
        patients: (n,) patient of each case, any integers.
        replicates: Number of draws.
        seed: Same seed, same draws.
    """

    labels: NDArray[np.int64]
    patients: NDArray[np.int64]
    replicates: int = REPLICATES
    seed: int = 0

    def weights(self) -> Iterator[NDArray[np.float64]]:
        """Yield (≤ 250, n) arrays, `replicates` rows in all: how often each case was drawn."""
        codes = np.unique(self.patients, return_inverse=True)[1]
        strata = self._strata(codes)
        generator = np.random.default_rng(self.seed)
        for start in range(0, self.replicates, CHUNK):
            size = min(CHUNK, self.replicates - start)
            counts = np.zeros((size, strata.size))
            for stratum in np.unique(strata):
                members = np.flatnonzero(strata == stratum)
                counts[:, members] = generator.multinomial(members.size, [1 / members.size] * members.size, size=size)
            yield counts[:, codes]

    def smallest_stratum(self) -> int:
        """Number of patients of the rarest class that has any."""
        codes = np.unique(self.patients, return_inverse=True)[1]
        return int(np.unique(self._strata(codes), return_counts=True)[1].min())

    def _strata(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        n_classes = int(self.labels.max()) + 1
        counts = np.zeros((int(codes.max()) + 1, n_classes))
        np.add.at(counts, (codes, self.labels), 1)
        prevalence = np.bincount(self.labels, minlength=n_classes) / (self.labels.size + 1)
        return np.argmax(counts - prevalence, axis=1).astype(np.int64)


def weighted_auc(positive: NDArray[Any], scores: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:
    """AUC of weighted cases, ties counting half, for many rows of weights at once.

    Args:
        positive: (n,) bool.
        scores: (n,).
        weights: (rows, n), not negative.

    Returns:
        (rows,); NaN where a row has no weight on positive or on negative cases.
    """
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    weights, positive = weights[:, order], positive[order]
    above = np.add.reduceat(weights * positive, starts, axis=1)
    below = np.add.reduceat(weights * ~positive, starts, axis=1)
    wins = (above * (np.cumsum(below, axis=1) - below / 2)).sum(axis=1)
    pairs = above.sum(axis=1) * below.sum(axis=1)
    return np.divide(wins, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def macro_auc(labels: NDArray[Any], probabilities: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:
    """Mean of the one-against-rest AUCs of the classes that occur, for each row of weights.

    Args:
        labels: (n,) class index.
        probabilities: (n, classes).
        weights: (rows, n).

    Returns:
        (rows,); NaN where one of the classes in ``labels`` was not drawn, or only one class occurs.
    """
    present = np.unique(labels)
    areas = [weighted_auc(labels == k, probabilities[:, k], weights) for k in present]
    return np.asarray(np.mean(areas, axis=0), dtype=np.float64)


def bootstrap_macro_auc(bootstrap: PatientBootstrap, models: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Macro AUC of several models on the same draws.

    Args:
        bootstrap: The draws, which know the labels.
        models: Probabilities of each model, (n, classes) each, rows as in the draws.

    Returns:
        (replicates, models), without the replicates in which a class was missing.
    """
    rows = [
        np.stack([macro_auc(bootstrap.labels, p, weights) for p in models], axis=1) for weights in bootstrap.weights()
    ]
    areas = np.concatenate(rows)
    return areas[np.isfinite(areas).all(axis=1)]


def macro_auc_with_interval(sample: Sample, *, seed: int, replicates: int = REPLICATES) -> Estimate:
    """Macro one-against-rest AUC with its 95 % interval.

    For two classes it is the AUC itself, and its interval is `auc.auc_with_interval`'s. For more, the standard
    error comes from a patient bootstrap stratified by class and the interval is symmetric on the logit scale.
    """
    classes = np.unique(sample.labels)
    if classes.size < 2:
        return undefined("fewer than two classes occur among the cases")
    if len(sample.classes) == 2:
        return auc_with_interval(sample.labels == 1, sample.probabilities[:, 1], groups=sample.patients)
    bootstrap = PatientBootstrap(sample.labels, sample.patients, replicates, seed)
    value = float(macro_auc(sample.labels, sample.probabilities, np.ones((1, sample.n_cases)))[0])
    areas = bootstrap_macro_auc(bootstrap, [sample.probabilities])[:, 0]
    notes = _notes(sample, bootstrap)
    error = float(areas.std(ddof=1)) if areas.size > 1 else math.nan
    if 0 < value < 1 and error > 0:
        return Estimate(value, *logit_limits(value, error), f"patient bootstrap {replicates}×, logit", notes)
    limits = [
        auc_with_interval(sample.labels == k, sample.probabilities[:, k], groups=sample.patients) for k in classes
    ]
    low, high = np.mean([e.low for e in limits]), np.mean([e.high for e in limits])
    note = "; ".join(n for n in (notes, "no variation for a bootstrap") if n)
    return Estimate(value, float(low), float(high), "mean of the classes' limits", note)


def percentile_estimate(value: float, replicates: NDArray[Any]) -> Estimate:
    """An estimate with the 2.5th and 97.5th percentile of its bootstrap replicates (NaN ones left out)."""
    if not math.isfinite(value):
        return undefined("not defined for these cases")
    finite = replicates[np.isfinite(replicates)]
    if finite.size < 2 or np.ptp(finite) < 1e-12:
        return Estimate(value, reason="no variation for a bootstrap interval")
    low, high = np.quantile(finite, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return Estimate(value, float(low), float(high), f"patient bootstrap {len(replicates)}×, percentile")


def _notes(sample: Sample, bootstrap: PatientBootstrap) -> str:
    absent = [c for k, c in enumerate(sample.classes) if not (sample.labels == k).any()]
    notes = [f"without class {', '.join(absent)}, which has no case"] if absent else []
    if bootstrap.smallest_stratum() < 2:
        notes.append("a class has one patient, whose chance the interval cannot know")
    return "; ".join(notes)
